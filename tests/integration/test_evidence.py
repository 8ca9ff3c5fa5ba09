"""The site's own trial of code on invented patients: once a request, bounded, and never a sandbox's failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.builders import SCHEMA
from support.code import QUESTIONS, ScriptedSandbox, aggregate, ended, per_block, returned
from support.pages import logged_in, text_of
from support.scene import scene
from support.site import PASSPHRASE, STEWARD, TrialSite
from support.staged import code_site, plan_for
from synthema_core.analyses.base import Rows
from synthema_core.code.outputs import Outputs
from synthema_core.code.source import Code
from synthema_core.errors import Unavailable
from synthema_core.sandbox.choose import choose_backend
from synthema_core.sandbox.port import End, Outcome, Sandbox
from synthema_datasite.service import evidence
from synthema_datasite.service.evidence import EVIDENCE, Evidence, MockRun, mock_run_of, try_on_mock

ARRAYS = {"age": np.array(61.0), "flags": np.array([1.0, 0.0, 1.0])}
SUMMED = {"deaths": np.array([3.0, 60.0]), "years": np.array(2500.0)}


@dataclass
class ScriptedBackend:
    """Implements Backend: every sandbox it opens does as told."""

    sandbox: ScriptedSandbox
    name: str = "scripted"
    opened: list[Code] = field(default_factory=list)

    def missing(self) -> str:
        return ""

    @contextmanager
    def open(self, code: Code, outputs: Outputs) -> Iterator[Sandbox]:
        self.opened.append(code)
        with self.sandbox.open() as sandbox:
            yield sandbox


def backend(function: Callable[[Rows], Any], **more: Any) -> ScriptedBackend:
    return ScriptedBackend(ScriptedSandbox(function, **more))


@pytest.fixture
def here(tmp_path: Path) -> TrialSite:
    here = code_site(tmp_path)
    here.submitted(plan_for(here))
    return here


def found(here: TrialSite, request: str = "r1") -> MockRun | None:
    return mock_run_of(here.site.journal, request)


def turns(here: TrialSite, made: ScriptedBackend, count: int = 5) -> list[float]:
    loop = Evidence(here.site, "scripted", lambda _: made)
    return [loop.turn() for _ in range(count)]


@pytest.mark.parametrize(("shape", "evaluations"), [("per-patient", 60), ("per-block", 8), ("aggregate", 1)])
def test_a_trial_makes_the_evaluations_of_its_shape(shape: str, evaluations: int) -> None:
    question = QUESTIONS[shape]()
    made = backend(lambda rows: SUMMED if shape == "aggregate" else ARRAYS)
    run = try_on_mock(question, SCHEMA, made, "d")
    assert (run.planned, run.evaluations, run.usable, dict(run.ends)) == (evaluations,) * 3 + (
        {"returned": evaluations},
    )
    assert run.values == ((3.0, 60.0, 2500.0) if shape == "aggregate" else (61.0, 1.0, 0.0, 1.0))
    for rows in made.sandbox.evaluated:
        assert set(rows) == {"age", "died"}, "the columns it names, and no identifier"
    assert sum(len(rows["age"]) for rows in made.sandbox.evaluated) == 60
    assert {limits.cpu_seconds for limits in made.sandbox.limits} == {question.cpu_seconds}


def test_of_very_many_blocks_some_are_tried() -> None:
    run = try_on_mock(per_block(capacity=9_000), SCHEMA, backend(lambda rows: ARRAYS), "d")
    assert run.planned == 100


ENDINGS: dict[str, tuple[Any, dict[str, int], int]] = {
    "raised": (ended(End.RAISED, "ValueError: no"), {"raised": 1}, 0),
    "timeout": (ended(End.TIMEOUT), {"timeout": 1}, 0),
    "another shape": ({**SUMMED, "deaths": np.zeros(3)}, {"returned": 1}, 0),
    "not a number": ({**SUMMED, "years": np.array(np.nan)}, {"returned": 1}, 0),
    "as declared": (SUMMED, {"returned": 1}, 1),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_how_it_ended_is_told(name: str) -> None:
    outcome, ends, usable = ENDINGS[name]
    run = try_on_mock(aggregate(), SCHEMA, backend(lambda rows: outcome), "d")
    assert (run.ends, run.usable, bool(run.values)) == (ends, usable, bool(usable))


def test_a_trial_that_takes_too_long_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "_MOST_SECONDS", 0.0)
    run = try_on_mock(QUESTIONS["per-patient"](), SCHEMA, backend(lambda rows: ARRAYS), "d")
    assert (run.planned, run.evaluations, run.complete) == (60, 1, False)


def test_what_is_kept_is_cut_and_can_be_written_down(here: TrialSite) -> None:
    """Whatever the code printed: no lone surrogate, no more than a page."""
    outputs = aggregate().outputs
    many = Outputs((outputs.outputs[0].__class__("deaths", (500,), 1.0),))
    printed = "\ud800\x00<b>" + "x" * 20_000
    run = try_on_mock(
        aggregate(outputs=many), SCHEMA, backend(lambda rows: returned({"deaths": np.ones(500)}, printed)), "d"
    )
    assert (len(run.values), len(run.log)) == (200, 5_000)
    assert run.log.startswith("?\x00<b>x")
    assert MockRun.from_dict(run.to_dict()) == run


def test_the_failed_evaluations_speak_first() -> None:
    def speak(rows: Rows) -> Outcome:
        young = rows["age"][0] < 50
        return returned(ARRAYS, "all is well") if young else ended(End.RAISED, "ValueError: too old")

    run = try_on_mock(QUESTIONS["per-patient"](), SCHEMA, backend(speak), "d")
    assert run.log == "ValueError: too old\nall is well", "each once"


def test_each_request_is_tried_once(here: TrialSite) -> None:
    made = backend(lambda rows: SUMMED)
    assert turns(here, made)[:2] == [0.0, 1.0]
    turns(here, made)
    assert len(made.opened) == 1
    (entry,) = here.site.journal.entries(EVIDENCE + "r1")
    run = found(here)
    assert (entry.kind, entry.actor) == ("mock-run", "alder")
    assert run is not None
    assert (run.sandbox, run.plan_digest) == ("scripted", here.record().plan.digest)


def test_what_waits_for_nobody_is_not_tried(here: TrialSite) -> None:
    here.submitted(here.plan(), "analysis")
    here.reviewing.reject("r1", STEWARD, PASSPHRASE, "No.")
    made = backend(lambda rows: SUMMED)
    assert set(turns(here, made)) == {1.0}
    assert not made.opened


def test_a_site_without_a_sandbox_tries_nothing(here: TrialSite) -> None:
    loop = Evidence(here.site, "", lambda _: pytest.fail("nothing to find"))
    assert loop.turn() == 1.0
    assert found(here) is None


@pytest.mark.parametrize("breaks_at", [-1, 0])
def test_a_broken_sandbox_is_no_evidence_and_is_tried_again(
    here: TrialSite, breaks_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the requests after it do not wait for it."""
    here.submitted(plan_for(here, purpose="Another", source="def study(rows):\n    return {}\n"), "r2")
    broken, whole = (
        backend(lambda rows: SUMMED, breaks=Unavailable("No."), breaks_at=breaks_at),
        backend(lambda _: SUMMED),
    )
    offered = iter([broken, whole, whole])
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    loop = Evidence(here.site, "scripted", lambda _: next(offered))
    loop.turn()
    assert (found(here), found(here, "r2")) == (None, None)
    loop.turn()
    assert found(here) is None, "not at once again"
    assert found(here, "r2") is not None
    for _ in range(10):
        loop.turn()
    assert found(here) is not None


def test_a_sandbox_that_cannot_be_found_is_looked_for_again(here: TrialSite) -> None:
    def find(name: str) -> ScriptedBackend:
        raise Unavailable("Not today.")

    assert Evidence(here.site, "landlock", find).turn() == 1.0
    assert found(here) is None


def test_the_page_shows_what_came_of_it(here: TrialSite) -> None:
    browser = logged_in(here)
    assert "Not tried yet." in browser.get("/requests/r1").text
    turns(here, backend(lambda rows: ended(End.RAISED, "<script>alert(1)</script>")))
    page = browser.get("/requests/r1").text
    assert "Ended: raised 1" in text_of(page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page


def test_the_real_sandbox_tries_a_scene(tmp_path: Path) -> None:
    """With whichever backend this machine offers."""
    made = choose_backend()
    here = scene(tmp_path).here
    loop = Evidence(here.site, made.name, lambda _: made)
    assert loop.turn() == 0.0
    run = found(here, "second")
    assert run is not None
    assert (run.ends, run.usable, run.sandbox) == ({"returned": 60}, 60, made.name)
    assert run.peak_bytes > 1 << 20
    assert set(run.values[:2]) == {0.0, 1.0}
