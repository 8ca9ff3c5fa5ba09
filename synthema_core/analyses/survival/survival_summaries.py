"""What a paper says of survival curves: hazards, medians with intervals, landmarks, restricted means, pairs of arms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import chdtrc, ndtr, ndtri

from synthema_core.analyses.survival.follow_up import ON_GRID
from synthema_core.analyses.survival.survival_tables import SurvivalCurve, log_rank, median_time
from synthema_core.canonical import Json
from synthema_core.secure_sum.layout import Floats


@dataclass(frozen=True, slots=True)
class FollowedArm:
    """One arm on a grid of times, all (cells,)."""

    label: str
    grid: Sequence[float]
    deaths: Floats
    risk: Floats
    curve: SurvivalCurve

    @property
    def hazard(self) -> tuple[Floats, Floats]:
        """Nelson and Aalen's cumulative hazard, and its standard error: the sums of d / n and of d / n^2."""
        share = np.divide(self.deaths, self.risk, out=np.zeros_like(self.risk), where=self.risk > 0)
        squares = np.divide(share, self.risk, out=np.zeros_like(self.risk), where=self.risk > 0)
        return np.cumsum(share), np.sqrt(np.cumsum(squares))

    @property
    def median_interval(self) -> list[Json]:
        """Brookmeyer and Crowley (1982): where the bands of the curve cross one half; None where they do not."""
        return [median_time(self.grid, self.curve.lower), median_time(self.grid, self.curve.upper)]

    def _place(self, time: float) -> int:
        """Of the last grid time that is not after it."""
        return int(np.searchsorted(np.asarray(self.grid) - ON_GRID, time, side="right")) - 1

    def at(self, time: float) -> dict[str, Json]:
        """Survival to a time; None where nobody was under observation any more."""
        place = self._place(time)
        if not self.risk[place]:
            return {"time": time, "survival": None, "lower": None, "upper": None, "at_risk": 0}
        curve = self.curve
        told = {
            name: float(values[place])
            for name, values in (("survival", curve.survival), ("lower", curve.lower), ("upper", curve.upper))
        }
        return {"time": time, **told, "at_risk": int(self.risk[place])}

    def restricted_mean(self, until: float) -> tuple[float, float] | None:
        """The mean time free of the event up to `until`, and its variance (Klein and Moeschberger 2003, 4.5).

        None where the last patient left before.
        """
        last = self._place(until)
        if not self.risk[last]:
            return None
        times = np.append(np.asarray(self.grid[: last + 1], dtype=np.float64), until)
        areas = self.curve.survival[: last + 1] * np.diff(times)
        later = np.cumsum(areas[::-1])[::-1]  # from each time on
        deaths, risk = self.deaths[: last + 1], self.risk[: last + 1]
        inner = (deaths > 0) & (risk > deaths)
        share = np.divide(deaths, risk * (risk - deaths), out=np.zeros_like(risk), where=inner)
        return float(areas.sum()), float((later**2 * share).sum())

    def log_log(self, time: float) -> tuple[float, float] | None:
        """log(-log S) at a time and its variance; None where S is 0 or 1, or not known."""
        place = self._place(time)
        survival, error = self.curve.survival[place], self.curve.standard_error[place]
        if not self.risk[place] or not 0 < survival < 1 or math.isnan(error):
            return None
        slope = 1 / (survival * math.log(survival))
        return math.log(-math.log(survival)), float((slope * error) ** 2)


def pairs_of(arms: Sequence[FollowedArm]) -> list[Json]:
    """The log-rank test of every two arms, with Holm's correction for how many there are; of more than two."""
    if len(arms) < 3:
        return []
    tested = [
        (one.label, other.label, log_rank(np.array([one.deaths, other.deaths]), np.array([one.risk, other.risk])))
        for one, other in combinations(arms, 2)
    ]
    corrected = iter(holm([float(str(test["p"])) for _, _, test in tested if test]))
    return [
        {"arms": [one, other], "test": test, "p_holm": next(corrected) if test else None} for one, other, test in tested
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Each corrected for how many there are (Holm 1979), in the order given."""
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        highest = max(highest, min(1.0, p_values[place] * (len(p_values) - rank)))
        corrected[place] = highest
    return corrected


def difference_at(one: FollowedArm, other: FollowedArm, time: float) -> dict[str, Json] | None:
    """Whether two arms survive to a time alike, by log(-log S) (Klein and others 2007); None where one has none."""
    first, second = one.log_log(time), other.log_log(time)
    if first is None or second is None:
        return None
    statistic = (first[0] - second[0]) ** 2 / (first[1] + second[1])
    return {"time": time, "statistic": statistic, "p": float(chdtrc(1, statistic))}


def restricted_means(arms: Sequence[FollowedArm], until: float, confidence: float) -> dict[str, Json]:
    """Of every arm; and, of two, the second's less the first's."""
    found = [arm.restricted_mean(until) for arm in arms]
    told = [None if one is None else _with_interval(*one, confidence) for one in found]
    difference: Json = None
    if len(found) == 2 and found[0] is not None and found[1] is not None:
        value, variance = found[1][0] - found[0][0], found[0][1] + found[1][1]
        p = 2 * float(ndtr(-abs(value) / math.sqrt(variance))) if variance > 0 else None
        difference = {**_with_interval(value, variance, confidence), "p": p}
    return {"until": until, "arms": list[Json](told), "difference": difference}


def _with_interval(value: float, variance: float, confidence: float) -> dict[str, Json]:
    reach = float(ndtri(0.5 + confidence / 2)) * math.sqrt(variance)
    return {"value": value, "standard_error": math.sqrt(variance), "lower": value - reach, "upper": value + reach}
