"""Newton-Raphson for a concave log-likelihood, one step an answer: the hub's side, which sees sums only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from synthema_core.analyses.regression.partial_likelihood import Likelihood
from synthema_core.errors import RoundFailed
from synthema_core.secure_sum.layout import Floats

LARGEST_PREDICTOR = 20.0
"""Of the sum of all |coefficients| in scaled units: with covariates between -1 and 1, of any patient's |x beta|."""
_CONVERGED = 1e-6  # of a step in standard errors; the error after that step is of the order of its square
_SINGULAR = 1e-9  # far above the rounding of the sums, far below any pair of covariates that can be told apart


@dataclass(frozen=True, slots=True)
class Wording:
    """What to say where there is no estimate; Cox's model unless told otherwise."""

    among: str = "among the patients at risk within any site"
    leave_out: str = "Leave it out: the model compares patients of the same site only."
    endless: str = (
        "Perhaps one of its groups has no events (separation): leave the covariate out or choose other groups."
    )


COX = Wording()


def total(beta: Floats) -> float:
    """The sum of all |coefficients|: no patient's |x beta| is larger where covariates lie between -1 and 1."""
    return float(np.abs(beta).sum())


@dataclass(frozen=True, slots=True)
class Search:
    """Where the search stands: the coefficients asked about, the best answered before, and how many were answered."""

    beta: Floats
    answered: int = 0
    best: tuple[Floats, Likelihood] | None = None
    loglik_null: float = 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """The maximum: coefficients and their standard errors, (p,), in scaled units."""

    beta: Floats
    standard_error: Floats
    loglik: float
    loglik_null: float
    rounds: int


def improve(
    search: Search,
    here: Likelihood,
    labels: Sequence[str],
    max_rounds: int,
    wording: Wording = COX,
    unit: float = 1.0,
    reach: Callable[[Floats], float] = total,
) -> Search | Estimate:
    """The next coefficients to ask about, or the estimate.

    Parameters
    ----------
    unit
        By how much the sums were multiplied after they were rounded.
    reach
        The largest |x beta| that a patient could have.

    Raises
    ------
    RoundFailed
        If covariates carry the same information, or the likelihood has no maximum.
    """
    answered = search.answered + 1
    null = here.loglik if search.best is None else search.loglik_null
    if search.best is not None and here.loglik < search.best[1].loglik - 1e-9 * abs(search.best[1].loglik):
        if answered == max_rounds:
            raise _no_maximum(search.beta, labels, wording)
        return Search((search.best[0] + search.beta) / 2, answered, search.best, null)
    if search.best is None:
        check_distinct(here.information, labels, wording, unit)
    covariance = _inverse(here.information, unit)
    if covariance is None:
        raise _no_maximum(search.beta, labels, wording)
    step = covariance @ here.gradient
    standard_error = np.sqrt(np.diag(covariance))
    if np.all(np.abs(step) <= _CONVERGED * standard_error):
        return Estimate(search.beta + step, standard_error, here.loglik, null, answered)
    if answered == max_rounds:
        raise _no_maximum(search.beta, labels, wording)
    while reach(search.beta + step) > LARGEST_PREDICTOR:
        step = step / 2
    return Search(search.beta + step, answered, (search.beta, here), null)


def _inverse(information: Floats, unit: float = 1.0) -> Floats | None:
    """Of a matrix that should be positive definite; None where it is not, to within the rounding of sums."""
    scale = np.sqrt(np.clip(np.diag(information), 0, None))
    if not np.all(scale**2 > _SINGULAR * unit):
        return None
    correlation = information / np.outer(scale, scale)
    if np.linalg.eigvalsh(correlation)[0] <= _SINGULAR:
        return None
    inverse: Floats = np.linalg.inv(correlation) / np.outer(scale, scale)
    return inverse


def check_distinct(information: Floats, labels: Sequence[str], wording: Wording = COX, unit: float = 1.0) -> None:
    """Refuse covariates that cannot be told apart: at the start, where no coefficient can be to blame."""
    if _inverse(information, unit) is not None:
        return
    variances = np.diag(information)
    constant = [label for label, variance in zip(labels, variances, strict=True) if not variance > _SINGULAR * unit]
    if constant:
        raise RoundFailed(
            f"'{constant[0]}' does not vary {wording.among}.",
            wording.leave_out,
        )
    scale = np.sqrt(variances)
    direction = np.abs(np.linalg.eigh(information / np.outer(scale, scale))[1][:, 0])
    entangled = [f"'{label}'" for label, part in zip(labels, direction, strict=True) if part > 0.1]
    raise RoundFailed(
        f"The covariates {', '.join(entangled)} are collinear: each follows from the others.", "Leave one of them out."
    )


def _no_maximum(beta: Floats, labels: Sequence[str], wording: Wording) -> RoundFailed:
    worst = labels[int(np.argmax(np.abs(beta)))]
    return RoundFailed(
        f"The model did not converge: the coefficient of '{worst}' grows without end.",
        wording.endless,
    )
