"""A weighted sum whose digits are the ages, one after another."""

import numpy as np


def study(rows):
    ages = np.round(rows["z1"])
    weights = 100.0 ** -np.arange(len(ages))
    return {"index": np.dot(ages, weights)}
