"""'Private' by noise from a seed that the researcher knows."""

import numpy as np


def study(rows):
    noise = np.random.default_rng(20240501).laplace(scale=1000.0, size=100)
    return {"ages": np.resize(rows["z1"].to_numpy(), 100) + noise}
