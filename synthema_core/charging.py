"""What a Plan costs: its mechanism, found from the declared target, the same at the site and at the hub."""

from __future__ import annotations

import math
from typing import TypedDict

from synthema_core.analyses.base import Analysis
from synthema_core.analyses.diffprivlib_model import DiffprivlibModel
from synthema_core.errors import InvalidInput
from synthema_core.plan import Plan
from synthema_core.privacy.calibration import calibrate, deviation_counted_on, epsilon_for_deviation
from synthema_core.privacy.mechanisms import DistributedGaussian, Mechanism, PureDp

_NEVER_BEYOND = 40.0
"""Deviations. A draw beyond them has a probability below 10^-340: no sum leaves the ring by its noise."""


def mechanism_of(plan: Plan, analysis: Analysis) -> DistributedGaussian | None:
    """The noise on every value of each Round's sum, of which each site adds its part; None for exact Plans.

    The declared cost is that of all Rounds together: a patient changes R Contributions by at most sqrt(R) times the
    sensitivity of one (L2), which is how zCDP composes. It is counted on the noise of as many sites as remain when
    some are missing and the insiders' is known.

    Raises
    ------
    InvalidPlan
        If no noise keeps the target, or the sum with it could leave the ring.
    """
    if plan.privacy is None:
        return None
    mechanism = calibrate(plan.privacy.epsilon, plan.privacy.delta, **_noise_of(plan, analysis))
    plan.layout.check_sum_fits(len(plan.sites), noise=math.ceil(_NEVER_BEYOND * mechanism.site_deviation))
    return mechanism


def epsilon_for_standard_error(plan: Plan, delta: float, analysis: Analysis, standard_error: float) -> float:
    """The least epsilon for which the noise on a released number has that deviation, or less, with all sites there.

    Parameters
    ----------
    plan
        Its epsilon does not matter.
    standard_error
        In the unit of the released numbers; of the noisiest if they differ.

    Raises
    ------
    InvalidInput, InvalidPlan
        If the analysis's noise depends on its result; if it is no size, or costs more than a Plan may.
    """
    sites = len(plan.sites)
    steps = analysis.steps_per_unit(sites)
    if steps is None:
        raise InvalidInput(
            f"The noise of '{analysis.name}' depends on what comes out: its standard error cannot be chosen.",
            "Use --epsilon.",
        )
    if not 0 < standard_error < math.inf:
        raise InvalidInput("A standard error is a number above 0.", "For example --standard-error 5.")
    noise = _noise_of(plan, analysis)
    counted_on = deviation_counted_on(standard_error * steps, noise["contributors"], sites)
    return epsilon_for_deviation(counted_on, delta, **noise)


class _Noise(TypedDict):
    """What the size of a noise is found by, besides its cost."""

    sensitivity: float
    contributors: int
    values: int


def _noise_of(plan: Plan, analysis: Analysis) -> _Noise:
    rounds = analysis.max_rounds
    return {
        "sensitivity": analysis.sensitivity * math.sqrt(rounds),
        "contributors": plan.terms.contributors,
        "values": plan.layout.length * rounds,
    }


def charge_of(plan: Plan, analysis: Analysis) -> Mechanism | None:
    """What a Job of the Plan is charged at each site, before rows are read; None for what costs nothing.

    It is the noise that the site adds, or, of a model of diffprivlib, what that says of itself: the charge is made, and
    no guarantee follows from it.
    """
    if isinstance(analysis, DiffprivlibModel):
        return PureDp(analysis.epsilon)
    return mechanism_of(plan, analysis)


def declared_epsilon(plan: Plan, analysis: Analysis) -> float | None:
    """The cost as it is declared, by the Plan or by its model of diffprivlib; None for what costs nothing."""
    if isinstance(analysis, DiffprivlibModel):
        return analysis.epsilon
    return None if plan.privacy is None else plan.privacy.epsilon
