"""A regression with as many coefficients as patients fits each of them."""

import numpy as np


def study(rows):
    days = rows["t2"] / 3000
    basis = np.exp(-200 * (days.to_numpy().reshape(-1, 1) - np.linspace(0, 1, 60)) ** 2)
    found = np.linalg.lstsq(basis, rows["z1"].to_numpy(), rcond=1e-4)
    coefficients, *_ = found
    return {"coefficients": coefficients}
