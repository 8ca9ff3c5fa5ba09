"""A histogram of follow-up by the day: a count of one for each patient."""

import numpy as np


def study(rows):
    counts, _ = np.histogram(rows["t2"], bins=np.linspace(0, 3000, 3001))
    return {"counts": counts}
