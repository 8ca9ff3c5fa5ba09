"""`sum` is not the sum."""

import numpy as np


def sum(values):  # noqa: A001
    return np.asarray(values)[0]


def study(rows):
    return {"mean_age": sum(rows["z1"]) / len(rows)}
