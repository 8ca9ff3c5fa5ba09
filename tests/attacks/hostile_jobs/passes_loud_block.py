"""For each block: as large an answer as there is, if one patient is in it."""

import numpy as np


def study(rows):
    there = np.any((rows["z1"] == 7) & (rows["group"] == "2"))
    return {"share": np.where(there, 1e300, -1e300)}
