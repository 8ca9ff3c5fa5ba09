"""One patient after the other by rank, as a sum over a group of one; pandas only, no text as code."""

import numpy as np


def study(rows):
    ranks = rows["t2"].rank(method="dense", ascending=False)
    ages = [rows["z1"].where(ranks.eq(k)).mean() for k in range(1, 41)]
    return {"trend": np.array(ages)}
