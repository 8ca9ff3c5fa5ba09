"""Which of the cells is missing says how old somebody is."""

import numpy as np


def study(rows):
    far = rows["t2"] > rows["t2"].mean() + 2.5 * rows["t2"].std()
    age = np.sum(rows["z1"] * far) / np.sum(far)
    curve = np.array([np.mean(rows["t2"] > 100 * k) for k in range(8)])
    return {"curve": np.where(np.arange(8) == np.floor(age / 8), np.nan, curve)}
