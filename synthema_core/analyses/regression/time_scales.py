"""The functions g(t) under which a hazard ratio may change in the check of proportional hazards, between -1 and 1."""

from __future__ import annotations

import math
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.regression.risk_sets import RiskSets
from synthema_core.secure_sum.layout import Floats

_SHORTEST = 1e-6


class TimeScale(StrEnum):
    """What g is. The last two are each site's own: only the site knows its times."""

    IDENTITY = "identity"
    LOG = "log"
    RANK = "rank"
    KM = "km"


def scaled_times(
    scale: TimeScale,
    asked: Floats,
    times: Floats,
    events: NDArray[np.bool_],
    entries: Floats | None,
    longest: float,
) -> Floats:
    """g at the times `asked`, where a site has patients with these `times`, `events` and `entries`.

    Parameters
    ----------
    longest
        The longest time by the schema, the unit of g = t; log starts at a millionth of it.

    Notes
    -----
    The test is the same for g and a + b g. With "km" as in R's ``cox.zph``, 1 - S(t) just before t.
    """
    if scale is TimeScale.IDENTITY:
        return asked / longest
    if scale is TimeScale.LOG:
        return np.log(np.maximum(asked / longest, _SHORTEST)) / -math.log(_SHORTEST)
    if scale is TimeScale.RANK:
        own = np.sort(times[events])
        before, until = (np.searchsorted(own, asked, side=side) for side in ("left", "right"))
        ranks: Floats = (before + until + 1) / (2 * max(1, len(own)))
        return ranks
    risk = RiskSets.of(times, events, entries)
    alive = np.cumprod(1 - risk.died / risk.sums(np.ones(len(times))))
    return 1 - np.concatenate([[1.0], alive])[np.searchsorted(risk.times, asked, side="left")]
