"""The researcher's side of diffprivlib: a line, models on mock data, what is shown of both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from support.builders import NOW, SCHEMA, SITES, at, card
from support.models import TYPED, model
from synthema_core.analyses.base import Sums
from synthema_core.errors import InvalidInput, InvalidRows, NotFound
from synthema_core.planning import make_plan
from synthema_core.release import Release, guarantee_of
from synthema_kernel import private_models as models
from synthema_kernel import shown
from synthema_kernel.again import ask_again
from synthema_kernel.commands import question
from synthema_kernel.line import Line
from synthema_kernel.result import Result
from synthema_kernel.session import Rehearsed

LINE = (
    "run diffprivlib --model logistic-regression --columns age,arm --target died --epsilon 0.5 "
    "--dataset trial --purpose 'Who dies early?'"
)


def fitted(name: str = "naive-bayes", **more: Any) -> models.Fitted:
    own = TYPED[name]
    return models.fit(name, SCHEMA, columns=own["columns"].split(","), target=own.get("target", ""), **more)


@pytest.mark.parametrize("name", models.MODELS)
def test_a_notebook_fits_what_a_site_would(name: str) -> None:
    found = fitted(name)
    assert found.question == model(name)
    assert [found[array].shape for array in found] == [output.shape for output in found.question.outputs.outputs]
    assert all(np.isfinite(found[array]).all() for array in found)
    assert len(found.to_frame()) == found.question.outputs.length


def test_a_card_is_as_good_as_its_schema() -> None:
    found = models.fit("pca", card("alder"), columns=["days", "age"], epsilon=2.0)
    assert found.question.epsilon == 2.0
    assert found.components.directions.shape == (2, 2)
    with pytest.raises(NotFound, match="Only 'pca'"):
        _ = fitted().components


def test_a_frame_is_as_good_as_rows() -> None:
    frame = pd.DataFrame(models.mock(SCHEMA, 80))
    frame["died"] = frame["died"].astype(bool)
    frame.loc[3, "arm"] = None
    frame["age"] = frame["age"].astype("Float64").mask(frame.index == 4)
    found = fitted(rows=frame)
    assert found["means"].shape == (2, 2)
    with pytest.raises(InvalidRows, match="no column 'died'"):
        fitted(rows=frame[["age", "arm"]])
    with pytest.raises(InvalidRows, match="no number"):
        fitted(rows=frame.assign(age="old"))


@pytest.mark.parametrize("seed", ["random_state", "seed", "bounds", "data_norm"])
def test_it_takes_neither_seed_nor_bounds(seed: str) -> None:
    with pytest.raises(InvalidInput, match="has no option"):
        fitted(**{seed: 1})
    assert fitted("logistic-regression", c=10.0).question.settings == (("c", 10.0),)


def test_what_is_shown_says_that_it_is_no_guarantee() -> None:
    found = fitted()
    bundle = found._repr_mimebundle_()
    for text in (*bundle.values(), repr(found)):
        assert "no guarantee" in text
        assert "arm: Arm B" in text
    with pytest.raises(NotFound, match="has no array 'theta'"):
        found["theta"]


# The line


def planned(line: str = LINE, **changes: Any) -> Any:
    asked = question(Line.read(line))
    cards = [card(site) for site in SITES]
    return make_plan(
        asked.analysis,
        asked.options,
        cards,
        requester="rosalind",
        purpose=asked.purpose,
        now=NOW,
        epsilon=asked.epsilon,
        delta=asked.delta,
        **changes,
    )


def test_a_line_is_planned_and_its_cost_is_called_nominal() -> None:
    made = planned()
    assert (made.analysis, made.parameters["epsilon"], made.privacy) == ("diffprivlib", 0.5, None)
    said = str(shown.plan(Rehearsed("models", made, SCHEMA, 1)))
    assert "nominal epsilon 0.5" in said
    assert "no guarantee" in said
    assert "exact: no noise" not in said


def test_asking_again_keeps_or_changes_its_epsilon() -> None:
    made, view = planned(), {"id": "r1", "name": "models"}
    for more, epsilon in (("", 0.5), (" --epsilon 0.25", 0.25)):
        again = ask_again(Line.read(f"resubmit models{more}"), view, made)
        assert (again.epsilon, again.delta) == (None, None)
        assert again.ask is not None
        assert again.ask([card(site) for site in SITES]).epsilon == epsilon  # type: ignore[attr-defined]


# The Release


def released(name: str, left_out: bool = False) -> Result:
    asked = model(name)
    sums = {o.name: np.full(o.length, 0.3 * min(o.bound, 1.0)) for o in asked.outputs.outputs}
    result: Any = asked.advance(None, Sums(sums, 3)).result
    if left_out:
        result["outputs"][-1]["values"][0] = None
    made = make_plan(
        "diffprivlib",
        {"model": name, **TYPED[name]},
        [card(site) for site in SITES],
        requester="rosalind",
        purpose="Who dies early?",
        now=NOW,
        epsilon=1.0,
    )
    return Result(
        Release(
            id="rel", request="r1", job="j1", plan_digest=made.digest, question_digest=made.question_digest,
            purpose="Who dies early?", requester="rosalind", result=result,
            guarantee=guarantee_of(made, None, exact_before=False), sites=made.sites, datasets=("trial",),
            released_at=at(), seconds=1.0, rounds=1, quantisation_error=0.0, engine=made.engine,
        )
    )  # fmt: skip


@pytest.mark.parametrize("left_out", [False, True])
@pytest.mark.parametrize("name", models.MODELS)
def test_a_release_is_shown_by_term_and_says_that_it_is_no_guarantee(name: str, left_out: bool) -> None:
    shown_release = released(name, left_out)
    bundle = shown_release._repr_mimebundle_()
    for kind in ("text/html", "text/plain", "image/svg+xml"):
        assert "no guarantee" in bundle[kind]
        assert "Differentially private" not in bundle[kind]
    frame = shown_release.to_frame()
    assert len(frame) == model(name).outputs.length
    assert frame["on_scale"].isna().any() == left_out
    assert ("left out" in bundle["text/plain"]) == left_out
    assert ("Components" in bundle["text/plain"]) == (name == "pca")


def test_means_of_a_release_are_in_their_units() -> None:
    frame = released("standard-scaler").to_frame()
    (days, age, arm) = frame[frame["output"] == "means"]["value"]
    assert (days, age, arm) == (pytest.approx(550.0), pytest.approx(55.0), pytest.approx(0.1))
