"""Two sums that differ by the one patient who was followed longest."""

import numpy as np


def study(rows):
    days, ages = rows["t2"], rows["z1"]
    all_but_one = days < np.quantile(days, 1)
    return {"sum_all": np.sum(ages), "sum_most": np.sum(ages[all_but_one])}
