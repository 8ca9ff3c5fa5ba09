"""Private tables, curves and regressions by real workers: each Round has its noise, and the result is about right."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from scipy.stats import chi2

from support.builders import NOW
from support.hospitals import Running, Trio, closing, trio_in
from synthema_core.analyses.base import Sums
from synthema_core.analyses.conduct import conduct
from synthema_core.canonical import Json
from synthema_core.charging import mechanism_of
from synthema_core.planning import make_plan
from synthema_core.secure_sum.layout import Floats

PATIENTS = 900
QUESTIONS: Mapping[str, Mapping[str, str]] = {
    "crosstab-private": {"rows": "arm", "columns": "died"},
    "kaplan-meier-private": {"time": "days", "event": "died", "group": "arm", "step": "100"},
    "cox-private": {"time": "days", "event": "died", "formula": "age + arm"},
    "glm-private": {"formula": "died ~ age + arm", "family": "binomial"},
}


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Trio:
    return trio_in(tmp_path_factory.mktemp("sites"), 290, 300, 310)


@pytest.mark.parametrize("analysis", sorted(QUESTIONS))
def test_a_job_with_noise_in_all_its_rounds(trio: Trio, analysis: str) -> None:
    cards = [hospital.site.cards()[0] for hospital in trio.values()]
    plan = make_plan(
        analysis, QUESTIONS[analysis], cards, requester="rosalind", purpose="A test.", now=NOW, epsilon=10.0
    )
    job = Running(trio, plan)
    mechanism = mechanism_of(plan, job.analysis)
    assert mechanism is not None
    variance = mechanism.sum_variance(len(trio))
    spread: list[Floats] = []

    def ask(round_index: int, values: Floats) -> Sums:
        total = job.total(job.ask(round_index, values))
        noise = (total - sum(job.plain(values).values())).view(np.int64).astype(np.float64)
        spread.append(noise**2 / variance)
        return Sums(plan.layout.dequantise(total), len(trio), variance)

    with closing(job.workers):
        done, rounds = conduct(job.analysis, ask)
    assert rounds == len(spread) == job.analysis.max_rounds
    squares = np.concatenate(spread)
    least, most = chi2.ppf([1e-6, 1 - 1e-6], len(squares))
    assert least < squares.sum() < most, "the noise is of the size that the result is told of"
    same_in_all = "noise_standard_deviation" in done.result  # a Release says it of every number that it has
    assert same_in_all == (analysis == "crosstab-private")
    counted: Json = done.result["total" if analysis == "crosstab-private" else "patients"]
    assert counted == pytest.approx(PATIENTS, abs=40)
