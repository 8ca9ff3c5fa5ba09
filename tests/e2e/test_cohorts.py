"""Questions about some patients, at real hospitals: theirs are the numbers, and nobody's who could be singled out."""

from __future__ import annotations

import numpy as np
import pytest
from lifelines import KaplanMeierFitter

from support.running import KAPLAN_MEIER, Running

pytestmark = [pytest.mark.federation, pytest.mark.timeout(300)]


def test_an_answer_about_some_patients_is_theirs(federation: Running) -> None:
    options = {**KAPLAN_MEIER, "group": "older"}
    asked = federation.ask(
        "kaplan-meier", "bmt", options, where="z1 >= 28", derive=("older = z2 >= 35",), name="adults"
    )
    release = federation.released(asked)
    rows = federation.pooled("bmt").query("z1 >= 28").assign(gridded=lambda table: np.ceil(table["t2"] / 90) * 90)
    result = release["result"]
    assert result["patients"] == len(rows)
    for arm, older in zip(result["arms"], (False, True), strict=True):
        own = rows[(rows["z2"] >= 35) == older]
        fitted = KaplanMeierFitter().fit(own["gridded"], own["d3"])
        expected = fitted.survival_function_at_times(result["grid"]).to_numpy()
        assert np.allclose(arm["survival"], expected, atol=1e-9)
    assert release["cohort"] == {"where": "z1 >= 28", "derive": [["older", "z2 >= 35"]]}


def test_two_answers_that_differ_by_few_patients_of_a_hospital_are_not_both_given(federation: Running) -> None:
    """All but four of alfred's, after all of them: the difference would be those four."""
    federation.released(federation.ask("kaplan-meier", "bmt", {**KAPLAN_MEIER, "confidence": "0.85"}, name="all"))
    nearly = federation.ask("kaplan-meier", "bmt", KAPLAN_MEIER, where="z1 >= 25", name="nearly-all")
    federation.approve(nearly)
    view = federation.wait_until_ended(nearly)
    assert view["status"] == "failed"
    assert "refused by its rule 'cohort-difference'" in view["failure"]["message"]


def test_a_private_answer_about_some_patients_is_charged_to_all(federation: Running) -> None:
    asked = federation.ask("histogram", "myeloid", {"column": "flt3"}, epsilon=0.1, where="sex == 'f'", name="women")
    release = federation.released(asked)
    true = federation.pooled("myeloid").query("sex == 'f'")["flt3"].value_counts().sort_index().to_numpy()
    counts = np.array([cell["count"] for cell in release["result"]["cells"]])
    assert np.all(np.abs(counts - true) < 7 * release["guarantee"]["noise_standard_deviation"])
    assert all(spent > 0.05 for spent in release["cumulative"].values())
