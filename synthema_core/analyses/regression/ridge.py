"""A ridge penalty on standardised coefficients (Hoerl and Kennard 1970), from sums over all patients.

Coefficients beta in scaled units cost half of beta' Q beta.
"""

from __future__ import annotations

import numpy as np

from synthema_core.analyses.regression.partial_likelihood import Likelihood, from_upper_triangle
from synthema_core.design import Design
from synthema_core.secure_sum.layout import Floats


def ridge(total: Floats, triangle: Floats, patients: float, design: Design, l2: float) -> Floats:
    """(p, p) Q: l2 times the patients times the squares of the coefficients told, each times its column's deviation.

    Parameters
    ----------
    total, triangle
        Sums of the columns and of their products; those of an intercept may come before the design's p.
    """
    products = from_upper_triangle(triangle, len(total))
    every = (products - np.outer(total, total) / patients) / max(1.0, patients - 1)
    terms = len(design.terms)
    covariance = every[-terms:, -terms:]
    to_told = design.to_original()
    told = np.linalg.inv(to_told)
    variance = np.clip(np.diag(told.T @ covariance @ told), 0, None)
    penalty: Floats = l2 * patients * to_told.T @ (variance[:, np.newaxis] * to_told)
    return penalty


def penalised(here: Likelihood, beta: Floats, penalty: Floats) -> Likelihood:
    """Less half of beta' penalty beta."""
    return Likelihood(
        here.loglik - float(beta @ penalty @ beta) / 2,
        here.gradient - penalty @ beta,
        here.information + penalty,
    )
