"""In each block: the mean age and its standard error by a bootstrap."""

import numpy as np


def study(rows):
    ages = rows["z1"].dropna().to_numpy()
    generator = np.random.default_rng()
    means = [generator.choice(ages, len(ages)).mean() for _ in range(200)]
    return {"mean_age": ages.mean(), "standard_error": np.std(means)}
