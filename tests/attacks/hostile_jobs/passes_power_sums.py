"""As many power sums as patients: their polynomial's roots are the ages."""

import numpy as np


def study(rows):
    scaled = rows["z1"] / 60
    return {"moments": np.array([np.sum(scaled**k) for k in range(1, 61)])}
