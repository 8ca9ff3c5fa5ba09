"""The models on offer: what each needs, and what it puts out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

MOST_ON_SCALE = 1000.0
"""Coefficients beyond it, on the scale on which models are fitted, are cut to it: such a fit has failed."""


class Target(StrEnum):
    """What a model explains."""

    NOTHING = "nothing"
    GROUP = "group"
    NUMBER = "number"


class Axis(StrEnum):
    """What the places of an array stand for."""

    TERM = "term"
    CLASS = "class"
    SIDE = "side"
    """A class compared with all others; of two classes only the second."""


@dataclass(frozen=True, slots=True)
class Array:
    """One array of a model.

    Parameters
    ----------
    axes
        () for a single number.
    bound
        What is larger, in absolute size, is cut to it.
    """

    name: str
    axes: tuple[Axis, ...]
    bound: float


@dataclass(frozen=True, slots=True)
class Setting:
    """A number that may be chosen: nothing that bounds or seeds is one."""

    default: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Kind:
    """One model. `title` is for people."""

    title: str
    target: Target
    arrays: tuple[Array, ...]
    settings: Mapping[str, Setting] = field(default_factory=dict)


NAIVE_BAYES = "naive-bayes"
LOGISTIC_REGRESSION = "logistic-regression"
LINEAR_REGRESSION = "linear-regression"
STANDARD_SCALER = "standard-scaler"
PCA = "pca"
C = "c"
"""diffprivlib's C: the smaller it is, the more a logistic regression is drawn towards 0."""

KINDS: Mapping[str, Kind] = {
    NAIVE_BAYES: Kind(
        "Gaussian naive Bayes",
        Target.GROUP,
        (
            Array("class_shares", (Axis.CLASS,), 1.0),
            Array("means", (Axis.CLASS, Axis.TERM), 1.0),
            Array("variances", (Axis.CLASS, Axis.TERM), 4.0),
        ),
    ),
    LOGISTIC_REGRESSION: Kind(
        "Logistic regression",
        Target.GROUP,
        (
            Array("coefficients", (Axis.SIDE, Axis.TERM), MOST_ON_SCALE),
            Array("intercepts", (Axis.SIDE,), MOST_ON_SCALE),
        ),
        {C: Setting(1.0, 0.001, 1000.0)},
    ),
    LINEAR_REGRESSION: Kind(
        "Linear regression",
        Target.NUMBER,
        (Array("coefficients", (Axis.TERM,), MOST_ON_SCALE), Array("intercept", (), MOST_ON_SCALE)),
    ),
    STANDARD_SCALER: Kind(
        "Means and variances",
        Target.NOTHING,
        (Array("means", (Axis.TERM,), 1.0), Array("variances", (Axis.TERM,), 1.0)),
    ),
    PCA: Kind(
        "Principal components",
        Target.NOTHING,
        (Array("means", (Axis.TERM,), 1.0), Array("covariance", (Axis.TERM, Axis.TERM), 100.0)),
    ),
}
