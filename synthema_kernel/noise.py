"""How much noise a Plan puts on what is released, in words."""

from __future__ import annotations

import math

from synthema_core.analyses.base import Analysis
from synthema_core.charging import mechanism_of
from synthema_core.plan import Plan


def noise_told(plan: Plan, question: Analysis) -> str:
    """Its standard deviation with all sites and with the fewest, and for whom it is counted; empty for exact Plans."""
    mechanism = mechanism_of(plan, question)
    if mechanism is None or plan.privacy is None:
        return ""

    def deviation(sites: int) -> str:
        steps = question.steps_per_unit(sites) or mechanism.sensitivity
        return f"{math.sqrt(mechanism.sum_variance(sites)) / steps:.3g}"

    terms, sites = plan.terms, len(plan.sites)
    plain = question.steps_per_unit(sites) is not None
    unit = "" if plain else " times the most that one patient adds to a sum"
    if sites == 1:
        return f"standard deviation {deviation(1)}{unit}, all of it from one site"
    fewest = f", {deviation(terms.least)} with the fewest ({terms.least})" if terms.recovers else ""
    insiders = terms.insiders
    known = f"; {insiders} site{'' if insiders == 1 else 's'} may know their own part" if insiders else ""
    return f"standard deviation {deviation(sites)}{unit} with all {sites} sites{fewest}{known}"
