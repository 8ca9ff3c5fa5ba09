"""Everyone with a follow-up within a day: one patient's age as a mean, by two ordinary comparisons."""

import numpy as np


def study(rows):
    chosen = (rows["t2"] > 2899.5) & (rows["t2"] < 2900.5)
    return {"count": np.sum(chosen), "mean_age": rows["z1"][chosen].mean()}
