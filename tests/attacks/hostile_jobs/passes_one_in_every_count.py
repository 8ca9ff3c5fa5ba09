"""The age of whoever was followed much longer than the others, in every cell of a table of counts."""

import numpy as np


def study(rows):
    days = rows["t2"]
    far = days > days.mean() + 2.5 * days.std()
    age = np.average(rows["z1"], weights=far + 1e-9)
    return {"counts": np.full(12, np.round(age))}
