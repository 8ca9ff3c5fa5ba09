"""What one site adds to the Rounds of a generalised linear model.

*A site's own intercept* never leaves it. Given the coefficients, the site takes the intercept that makes its own
likelihood largest, and adds the derivatives of that profile likelihood: its gradient is the plain one, its information
the Schur complement, in which every covariate stands less its weighted mean at the site. Their sums over sites are
those of the pooled model with a dummy for each site, after the dummies have been eliminated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logsumexp, xlogy

from synthema_core.analyses.columns import MOST_PATIENTS
from synthema_core.analyses.regression.glm_response import Family
from synthema_core.analyses.regression.partial_likelihood import upper_triangle
from synthema_core.secure_sum.layout import Floats

_MOST_STEPS = 200


@dataclass(frozen=True, slots=True)
class Fitted:
    """Patients at some coefficients.

    Parameters
    ----------
    mean
        (n,) of the scaled outcome.
    weight
        (n,): the patients' shares times the variance that the family has at these means.
    loglik
        Less half of the deviance, in scaled units.
    """

    mean: Floats
    weight: Floats
    loglik: float


@dataclass(frozen=True, slots=True)
class Observed:
    """A site's cohort.

    Parameters
    ----------
    values, offsets, shares
        (n,): see `Response`.
    x
        (n, p), between -1 and 1.
    offset_reach
        The largest absolute value of an offset by the schema.
    reach
        The largest |x beta| by the schema.
    """

    family: Family
    values: Floats
    offsets: Floats
    shares: Floats
    x: Floats
    offset_reach: float
    reach: Callable[[Floats], float]

    @property
    def can_fit(self) -> bool:
        """Whether a finite intercept of the site's own makes its likelihood largest."""
        if not len(self.values):
            return False
        if self.family is Family.BINOMIAL:
            return bool(self.values.min() < self.values.max())
        return self.family is Family.GAUSSIAN or bool(self.values.max() > 0)

    @property
    def _with_intercept(self) -> Floats:
        return np.column_stack([np.ones(len(self.values)), self.x])

    @property
    def totals(self) -> Floats:
        """(3,): sums of the shares, and of the outcome and its square by them."""
        return np.array([self.shares.sum(), self.shares @ self.values, self.shares @ self.values**2])

    def spread(self, *, own: bool) -> dict[str, Floats]:
        """Sums of the columns and of their products."""
        z = self.x if own else self._with_intercept
        return {"gradient": z.sum(axis=0), "information": upper_triangle(z.T @ z)}

    def fit_own(self, beta: Floats) -> dict[str, Floats]:
        """Derivatives of the profile likelihood; nothing from a site whose intercept would be infinite."""
        if not self.can_fit:
            return {}
        fitted = self._fitted_own(beta)
        x = self._centred(fitted)
        return {
            "gradient": (self.shares * (self.values - fitted.mean)) @ x,
            "information": upper_triangle((x * fitted.weight[:, np.newaxis]).T @ x),
            "loglik": np.array([fitted.loglik]),
        }

    def fit_common(self, theta: Floats) -> dict[str, Floats]:
        """Derivatives by the intercept, the first of `theta`, and the coefficients."""
        z = self._with_intercept
        if self.family is Family.POISSON:
            return self._poisson_sums(theta[1:])
        fitted = _fitted(self.family, self._predictor(theta[1:]) + theta[0], self.values, self.shares)
        return {
            "gradient": (self.shares * (self.values - fitted.mean)) @ z,
            "information": upper_triangle((z * fitted.weight[:, np.newaxis]).T @ z),
            "loglik": np.array([fitted.loglik]),
        }

    def _poisson_sums(self, beta: Floats) -> dict[str, Floats]:
        """Sums of v z, and of z z' by weights exp(predictor) over the largest it can be; the hub has the intercept.

        So no mean that an iterate could blow up enters a sum.
        """
        z, predictor = self._with_intercept, self._predictor(beta)
        weight = self.shares * np.exp(predictor - self.offset_reach - self.reach(beta))
        gained = xlogy(self.values, self.values) - self.values * predictor
        return {
            "gradient": (self.shares * self.values) @ z,
            "information": upper_triangle((z * weight[:, np.newaxis]).T @ z),
            "loglik": np.array([self.shares @ gained]),
        }

    def sandwich(self, theta: Floats, power: float, *, own: bool) -> dict[str, Floats]:
        """The sum of s s' over scores s, times 2**power, no larger than the layout's bound.

        A diagonal that reaches the bound says that something may have been cut.
        """
        if own and not self.can_fit:
            return {}
        if own:
            fitted = self._fitted_own(theta)
            z = self._centred(fitted)
        else:
            fitted = _fitted(self.family, self._predictor(theta[1:]) + theta[0], self.values, self.shares)
            z = self._with_intercept
        scores = z * (self.shares * (self.values - fitted.mean))[:, np.newaxis]
        with np.errstate(over="ignore"):
            products = upper_triangle(scores.T @ scores) * 2.0**power
        return {"information": np.clip(products, -MOST_PATIENTS, MOST_PATIENTS)}

    def _predictor(self, beta: Floats) -> Floats:
        predictor: Floats = self.offsets + self.x @ beta
        return predictor

    def _fitted_own(self, beta: Floats) -> Fitted:
        predictor = self._predictor(beta)
        intercept = _own_intercept(self.family, predictor, self.values, self.shares)
        return _fitted(self.family, predictor + intercept, self.values, self.shares)

    def _centred(self, fitted: Fitted) -> Floats:
        """The covariates less their means by the fitted weights."""
        centred: Floats = self.x - (fitted.weight @ self.x) / fitted.weight.sum()
        return centred


def _fitted(family: Family, predictor: Floats, values: Floats, shares: Floats) -> Fitted:
    if family is Family.GAUSSIAN:
        return Fitted(predictor, shares, -0.5 * float(shares @ (values - predictor) ** 2))
    if family is Family.BINOMIAL:
        mean: Floats = expit(predictor)
        loglik = shares @ (values * predictor - np.logaddexp(0.0, predictor))
        return Fitted(mean, shares * mean * expit(-predictor), float(loglik))
    mean = np.exp(np.minimum(predictor, 300.0))
    loglik = shares @ (values * predictor - mean - xlogy(values, values) + values)
    return Fitted(mean, shares * mean, float(loglik))


def _own_intercept(family: Family, predictor: Floats, values: Floats, shares: Floats) -> float:
    """Where the fitted mean of the site is its observed one."""
    total = float(shares @ values)
    if family is Family.GAUSSIAN:
        return float(shares @ (values - predictor)) / float(shares.sum())
    if family is Family.POISSON:
        return float(np.log(total) - logsumexp(predictor, b=shares))
    share = total / float(shares.sum())
    start = float(np.log(share) - np.log1p(-share))
    low, high = start - float(predictor.max()), start - float(predictor.min())
    return _root(predictor, total, shares, low, high)


def _root(predictor: Floats, total: float, shares: Floats, low: float, high: float) -> float:
    """Newton's steps, and halves of the interval where these leave it: the sum of means grows with the intercept."""
    at = (low + high) / 2
    for _ in range(_MOST_STEPS):
        mean: Floats = expit(predictor + at)
        excess = float(shares @ mean) - total
        low, high = (low, at) if excess > 0 else (at, high)
        slope = float(shares @ (mean * expit(-predictor - at)))
        step = at - excess / slope if slope > 0 else low
        following = step if low < step < high else (low + high) / 2
        if abs(following - at) <= 1e-15 * max(1.0, abs(at)):
            return following
        at = following
    return at
