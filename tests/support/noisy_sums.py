"""Releases of private analyses as a hub makes them: real Contributions, the ring's sum, noise of a known scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random import Generator

from support.builders import NOW, SITES, card
from synthema_core.analyses.base import Analysis, Patients, Rows, Sums
from synthema_core.analyses.conduct import conduct
from synthema_core.canonical import canonical
from synthema_core.charging import mechanism_of
from synthema_core.planning import make_plan
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Floats


def release(
    question: Analysis, sites: Sequence[Rows], sigma: float, dice: Generator, said: float = 1.0
) -> dict[str, Any]:
    """The result.

    Parameters
    ----------
    sigma
        Of the noise on each value of a sum, in ring steps.
    said
        How much of it the analysis is told of.
    """

    def ask(_round: int, values: Floats) -> Sums:
        question.check_input(values)
        total = np.zeros(question.layout.length, dtype=np.uint64)
        for rows in sites:
            only = {name: rows[name] for name in question.columns}
            total += question.layout.quantise(question.contribution(only, values, Patients.one_a_row(only)))
        total += np.rint(dice.normal(0, sigma, len(total))).astype(np.int64).view(np.uint64)
        return Sums(question.layout.dequantise(total), len(sites), (said * sigma) ** 2)

    done, _ = conduct(question, ask)
    canonical(done.result)  # raises for NaN and infinity
    return done.result


def planned(analysis: str, options: dict[str, str], schema: Schema, epsilon: float) -> tuple[Any, float]:
    """The question of a Plan to three sites, and the deviation of the noise in a sum, in ring steps."""
    from synthema_core.analyses import from_plan

    plan = make_plan(
        analysis,
        options,
        [card(site, schema=schema) for site in SITES],
        requester="rosalind",
        purpose="An audit",
        now=NOW,
        epsilon=epsilon,
    )
    question = from_plan(plan.analysis, plan.parameters)
    mechanism = mechanism_of(plan, question)
    assert mechanism is not None
    return question, math.sqrt(mechanism.sum_variance(len(SITES)))
