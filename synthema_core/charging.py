"""What a Plan costs: its mechanism, found from the declared target, the same at the site and at the hub."""

from __future__ import annotations

import math

from synthema_core.analyses.base import Analysis
from synthema_core.plan import Plan
from synthema_core.privacy.mechanisms import DiscreteGaussian, calibrate


def mechanism_of(plan: Plan, analysis: Analysis) -> DiscreteGaussian | None:
    """The noise each site adds to every value of each Round's Contribution; None for exact Plans.

    The declared cost is that of all Rounds together: a patient changes R Contributions by at most sqrt(R) times the
    sensitivity of one (L2), which is how zCDP composes.
    """
    if plan.privacy is None:
        return None
    return calibrate(plan.privacy.epsilon, plan.privacy.delta, analysis.sensitivity * math.sqrt(analysis.max_rounds))
