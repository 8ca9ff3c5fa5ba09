"""As many quantiles as patients: the sorted ages."""

import numpy as np


def study(rows):
    return {"curve": np.quantile(rows["z1"], np.linspace(0, 1, 101))}
