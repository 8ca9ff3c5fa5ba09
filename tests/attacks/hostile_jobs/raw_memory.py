"""Read beyond the end of an array: what else the process holds."""

import numpy as np
from numpy.lib.stride_tricks import as_strided


def study(rows):
    ages = np.ascontiguousarray(rows["z1"])
    beyond = as_strided(ages, shape=(len(ages) + 4096,), strides=ages.strides)
    return {"sums": np.add.reduceat(beyond, np.arange(0, len(beyond), len(beyond) // 7))}
