"""Where private regressions begin: close to their solutions, from first and second moments.

Of white covariates z that were normal, a linear model's coefficients are the covariances with the outcome, a logistic
model's those of the linear discriminant between patients with and without it, and of counts or events the mean of z
among them, less that among all.
"""

from __future__ import annotations

import math

import numpy as np

from synthema_core.analyses.private_regression.course import Moments, Start
from synthema_core.analyses.private_regression.families import Bounds
from synthema_core.analyses.regression.glm_response import Family
from synthema_core.secure_sum.layout import Floats

_CUT = 3.0
"""Residual standard deviations beyond which a linear model's residuals are cut."""
_FEWEST_EVENTS = 3.0
"""Deviations of the noise in an information: neighbouring steps with fewer events are tied."""


def begin_glm(family: Family, unit: float, offset_reach: float, moments: Moments) -> Start:
    """`unit`: of the outcome's values, of which Round 1 had shares."""
    patients = max(1.0, float(moments.weight[0]))
    mean, slopes = float(moments.score[0]) / patients, moments.mixed / patients
    unsure = moments.noise[0] / patients
    if family is Family.GAUSSIAN:
        return _linear(mean, slopes, moments.square / patients, unsure)
    if family is Family.BINOMIAL:
        return _logistic(mean, slopes, max(2 * unsure, 2 / patients, 0.01))
    raised = min(1.0, max(moments.square / patients, unsure, 1e-3)) ** 2 * math.exp(offset_reach)
    root = max(mean, unsure, 1e-3)
    return _counts(root**2 * unit, 2 * slopes / root, raised)


def _linear(mean: float, slopes: Floats, square: float, unsure: float) -> Start:
    variance = max(square - mean**2, unsure, 1e-6)
    residual = max(variance - float(slopes @ slopes), variance / 20)
    cut = min(2.0, _CUT * math.sqrt(residual))
    return Start(np.append(mean, slopes) / cut, Bounds(cut))


def _logistic(mean: float, slopes: Floats, margin: float) -> Start:
    share = min(max(mean, min(margin, 0.5)), 1 - min(margin, 0.5))
    apart = slopes / (share * (1 - share))
    beta = _limited(apart / max(0.3, 1 - share * (1 - share) * float(apart @ apart)), 2.0)
    intercept = math.log(share / (1 - share)) - float(beta @ apart) * (1 - 2 * share) / 2
    return Start(np.append(intercept, beta), Bounds())


def _counts(mean: float, slopes: Floats, raised: float) -> Start:
    """`slopes`: of the logarithm of the mean, by the roots of counts."""
    beta = _limited(slopes, 1.5)
    intercept = math.log(mean / raised) - float(beta @ beta) / 2
    return Start(np.append(intercept, beta), Bounds(2 * math.sqrt(mean) + 1, max(0.1, 2 * mean)))


def begin_hazards(moments: Moments) -> Start:
    """Of baselines by step, in events a step.

    Tied steps have hazards of their own up to a common factor: those of Round 1, as far as their events are more than
    its noise.
    """
    steps = len(moments.score)
    events, exposed = np.maximum(moments.score, 0.0), np.maximum(moments.weight * steps, 1e-9)
    all_events = max(float(moments.score.sum()), 1.0)
    tie = _tied(moments.score, max(_FEWEST_EVENTS * moments.noise[1], all_events / 50))
    beta = _limited(moments.mixed / all_events, 1.5)
    rates = np.clip(np.maximum(tie.T @ events, 1.0) / (tie.T @ exposed), 1e-6, 1e3)
    base = np.log((events + 2 * moments.noise[0]) / ((tie @ rates) * exposed + 2 * moments.noise[0]))
    return Start(np.append(np.log(rates) - float(beta @ beta) / 2, beta), Bounds(), base, tie)


def _tied(events: Floats, fewest: float) -> Floats:
    """(steps, fewer) of 0 and 1: neighbours together, until each has so many events or there is one."""
    groups: list[list[int]] = [[]]
    so_far = 0.0
    for step, count in enumerate(events.tolist()):
        groups[-1].append(step)
        so_far += count
        if so_far >= fewest:
            groups.append([])
            so_far = 0.0
    rest = groups.pop()
    if groups:
        groups[-1].extend(rest)
    else:
        groups.append(rest)
    tie = np.zeros((len(events), len(groups)))
    for column, group in enumerate(groups):
        tie[group, column] = 1.0
    return tie


def _limited(beta: Floats, longest: float) -> Floats:
    length = float(np.linalg.norm(beta))
    return beta * min(1.0, longest / length) if length else beta
