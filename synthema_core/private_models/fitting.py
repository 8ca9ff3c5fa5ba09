"""Fitting one model of diffprivlib, so that nothing it is told depends on rows.

Rows come as numbers within fixed ranges (`Task`), clipped here. What the defaults of diffprivlib 0.6.6 get wrong, and
what is done about it:

- *Intercepts.* Logistic regression leaves its intercept out of the penalty, and its noise is made for a norm of at
  most 1; both break the theorem that it rests on (Chaudhuri, Monteleoni, Sarwate 2011). Linear regression subtracts
  noisy means first, and then takes the noise of squares from the lower bound alone, which may lie near 0. So the
  intercept is the coefficient of one more column of ones, rows have norm 1 at most, and bounds are symmetric.
- *Classes.* It takes the classes from the rows: a class that nobody has would change the shapes, and tell. One made-up
  patient of each class, in the middle of every range, is fitted with the others.
- *The number of patients.* Counts of classes add up to it exactly: only shares are given.
- *Bounds.* Those that are missing would be taken from rows, with a warning. None is missing; the warning is an error.
- *Seeds.* `random_state` is None: mechanisms then draw from the operating system (`secrets.SystemRandom`), whatever
  numpy was seeded with; but for Bingham's (of PCA), which draw from a numpy generator that the operating system seeds.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from synthema_core.errors import Refused, RoundFailed, SynthemaError, Unavailable
from synthema_core.private_models.kinds import LINEAR_REGRESSION, LOGISTIC_REGRESSION, NAIVE_BAYES, PCA, C
from synthema_core.private_models.kinds import STANDARD_SCALER as SCALER
from synthema_core.secure_sum.layout import Floats

Arrays: TypeAlias = dict[str, Floats]


@dataclass(frozen=True, slots=True)
class Task:
    """What is fitted.

    Parameters
    ----------
    features
        (n, d). What is outside of its range is moved to the nearer end.
    low, high
        (d,): the range of each feature, between -1 and 1, whatever the rows are.
    norm
        No row within the ranges is longer (L2).
    target
        (n,): a number between -1 and 1, or the place of a class; None where nothing is explained.
    classes
        How many classes there are, whether or not any row is of them.
    """

    features: Floats
    low: Floats
    high: Floats
    norm: float
    target: Floats | None
    classes: int
    epsilon: float
    settings: Mapping[str, float]

    @property
    def bounded(self) -> Floats:
        """(n, d): the features within their ranges."""
        clipped: Floats = np.clip(self.features, self.low, self.high)
        return clipped

    @property
    def explained(self) -> Floats:
        """(n,): the target within its range."""
        assert self.target is not None, "this model explains something"
        return np.clip(self.target, -1.0, 1.0).astype(np.float64)

    def with_every_class(self) -> tuple[Floats, Floats]:
        """(n + classes, d) and (n + classes,): features and classes, with one made-up patient of each class."""
        assert self.target is not None, "this model explains something"
        made_up = np.zeros((self.classes, self.features.shape[1]))
        return np.vstack([self.bounded, made_up]), np.concatenate([self.target, np.arange(self.classes)])


def fit(model: str, task: Task) -> Arrays:
    """The arrays of that model, on the scale of the task. They are as noisy as diffprivlib makes them.

    Raises
    ------
    Refused
        With rule ``bounds``, if diffprivlib would take a bound from the rows; ``min_patients``, if rows are too few.
    RoundFailed
        If it gave no model, or counted another cost than the declared one. Never with its text, which may hold values.
    Unavailable
        If it is not installed.
    """
    models = _library()
    with _guarded():
        return _FITS[model](models, task)


def _library() -> Any:
    try:
        import diffprivlib.models
    except ImportError:
        raise Unavailable("diffprivlib is not installed here.", "Install it beside this package.") from None
    return diffprivlib.models


@contextmanager
def _guarded() -> Iterator[None]:
    """What diffprivlib warns of as a leak is an error; what it raises is told by its type alone."""
    from diffprivlib.utils import DiffprivlibCompatibilityWarning, PrivacyLeakWarning

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", PrivacyLeakWarning)
        warnings.simplefilter("error", DiffprivlibCompatibilityWarning)
        try:
            yield
        except PrivacyLeakWarning:
            raise Refused("diffprivlib would have taken a bound from the rows.", rule="bounds") from None
        except SynthemaError:
            raise
        except Exception as error:  # of a library that quotes what it was given
            raise RoundFailed(f"diffprivlib gave no model: it ended with {type(error).__name__}.") from None


def _made(kind: Callable[..., Any], task: Task, **bounds: Any) -> Any:
    """An estimator without a seed, with an accountant that nothing else is counted by."""
    from diffprivlib import BudgetAccountant

    accountant = BudgetAccountant(epsilon=task.epsilon, delta=0.0)
    return kind(epsilon=task.epsilon, random_state=None, accountant=accountant, **bounds)


def _check_spent(estimator: Any, task: Task) -> None:
    if estimator.random_state is not None or estimator.accountant.spent_budget != [(task.epsilon, 0)]:
        raise RoundFailed("diffprivlib counted another cost than the declared one.")


def _naive_bayes(models: Any, task: Task) -> Arrays:
    estimator = _made(models.GaussianNB, task, bounds=(task.low, task.high))
    features, classes = task.with_every_class()
    estimator.partial_fit(features, classes, classes=np.arange(task.classes))
    _check_spent(estimator, task)
    return {"class_shares": estimator.class_prior_, "means": estimator.theta_, "variances": estimator.var_}


def _logistic_regression(models: Any, task: Task) -> Arrays:
    estimator = _made(models.LogisticRegression, task, data_norm=1.0, fit_intercept=False, C=task.settings[C])
    features, classes = task.with_every_class()
    length = math.sqrt(task.norm**2 + 1)
    estimator.fit(_with_ones(features) / length, classes)
    _check_spent(estimator, task)
    weights = estimator.coef_ / length
    return {"coefficients": weights[:, :-1], "intercepts": weights[:, -1]}


def _linear_regression(models: Any, task: Task) -> Arrays:
    ends = np.ones(task.features.shape[1] + 1)
    estimator = _made(models.LinearRegression, task, bounds_X=(-ends, ends), bounds_y=(-1.0, 1.0), fit_intercept=False)
    estimator.fit(_with_ones(task.bounded), task.explained)
    _check_spent(estimator, task)
    return {"coefficients": estimator.coef_[:-1], "intercept": np.asarray(estimator.coef_[-1])}


def _scaler(models: Any, task: Task) -> Arrays:
    estimator = _made(models.StandardScaler, task, bounds=(task.low, task.high))
    estimator.fit(task.bounded)
    _check_spent(estimator, task)
    return {"means": estimator.mean_, "variances": estimator.var_}


def _pca(models: Any, task: Task) -> Arrays:
    """Components of several sites have no mean that means anything, so they are put together to a covariance."""
    patients, features = task.features.shape
    if patients <= features:
        raise Refused("There are too few patients here for so many columns.", rule="min_patients")
    estimator = _made(models.PCA, task, bounds=(task.low, task.high), data_norm=task.norm, centered=False)
    estimator.fit(task.bounded)
    _check_spent(estimator, task)
    lengths, directions = estimator.singular_values_, estimator.components_
    covariance = (directions.T * lengths**2) @ directions / (patients - 1)
    return {"means": estimator.mean_, "covariance": covariance}


def _with_ones(features: Floats) -> Floats:
    return np.hstack([features, np.ones((len(features), 1))])


_FITS: Mapping[str, Callable[[Any, Task], Arrays]] = {
    NAIVE_BAYES: _naive_bayes,
    LOGISTIC_REGRESSION: _logistic_regression,
    LINEAR_REGRESSION: _linear_regression,
    SCALER: _scaler,
    PCA: _pca,
}
