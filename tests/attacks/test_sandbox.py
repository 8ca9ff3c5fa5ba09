"""Every attack of the table against every backend of this machine; and what would happen without the backends."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from support.unconfined import EVERY_STEP, Unconfined, without
from synthema_core.code.source import Code
from synthema_core.errors import Unavailable
from synthema_core.sandbox.attacks import ATTACKS, QUICK, Attack, Finding, attack
from synthema_core.sandbox.attacks.case import OUTPUTS, Field
from synthema_core.sandbox.choose import BACKENDS, available_backends, choose_backend
from synthema_core.sandbox.doctor import examine
from synthema_core.sandbox.inside.confine import STEPS
from synthema_core.sandbox.port import Backend, End, Limits

BY_NAME = {backend.name: backend for backend in BACKENDS}
#: What each step stops alone: without it these get through, although all other steps are taken.
STOPPED_BY = {
    "take_files": {"open files"},
    "limit_resources": {"many pieces"},
    "become_nobody": {"rights"} if os.geteuid() == 0 else set(),
    "restrict_calls": {"socket UNIX", "signals", "memory file", "machine code", "clock", "age of pipes", "rendezvous"},
}


@cache
def findings(backend: Backend) -> Mapping[str, Finding]:
    """Of all attacks, in one sandbox; made once."""
    missing = backend.missing()
    if missing and os.environ.get("SYNTHEMA_STRICT"):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    return {finding.name: finding for finding in attack(backend, ATTACKS)}


def test_every_attack_has_its_own_name_and_every_field_its_attacks() -> None:
    assert len({case.name for case in ATTACKS}) == len(ATTACKS)
    assert {case.field for case in ATTACKS} == set(Field)
    assert {case.field for case in QUICK} >= {Field.FILES, Field.NETWORK, Field.PROCESSES, Field.KERNEL, Field.MEMORY}


@pytest.mark.parametrize("name", BY_NAME)
def test_honest_code_computes(name: str) -> None:
    assert findings(BY_NAME[name])["honest code"].held


@pytest.mark.parametrize("case", ATTACKS, ids=lambda case: case.name)
@pytest.mark.parametrize("name", BY_NAME)
def test_an_attack_gets_nothing(name: str, case: Attack) -> None:
    assert findings(BY_NAME[name])[case.name].why == ""


@pytest.mark.parametrize("case", [case for case in ATTACKS if case.provable], ids=lambda case: case.name)
def test_the_attack_gets_through_where_nothing_confines(case: Attack) -> None:
    """So that the tests above can fail."""
    if findings(Unconfined())[case.name].held and case.field in (Field.KERNEL, Field.NETWORK):
        pytest.skip("This kernel, or the container around these tests, has no such thing to offer.")
    assert not findings(Unconfined())[case.name].held


def test_most_attacks_are_shown_to_get_through() -> None:
    got = [finding for finding in findings(Unconfined()).values() if finding.why == "it got what it wanted"]
    assert len(got) > 60


@pytest.mark.parametrize("step", STOPPED_BY)
def test_each_step_stops_something_that_no_other_does(step: str) -> None:
    cases = [case for case in ATTACKS if case.name in STOPPED_BY[step]]
    through = {finding.name for finding in attack(without(step), cases) if not finding.held}
    assert through == STOPPED_BY[step]


def test_landlock_alone_hides_every_file() -> None:
    """Behind name spaces and the filter it is the third line; so it is tried without them."""
    hidden = {"passwords", "site key", "site key by system call", "another dataset", "program text", "writing"}
    cases = [case for case in ATTACKS if case.name in hidden | {"fork"}]
    through = {
        finding.name for finding in attack(Unconfined(("take_files", "restrict_files")), cases) if not finding.held
    }
    assert through == {"fork"}


def test_the_filter_alone_stops_all_that_would_write() -> None:
    """Behind read-only mounts and Landlock it is the third line; so it is tried without them."""
    writes = {"writing", "libraries", "metadata", "many files", "sparse file", "symbolic link", "hard link", "folder"}
    writes |= {"named pipe", "file without a name", "memory file"}
    cases = [case for case in ATTACKS if case.name in writes | {"passwords"}]
    through = {
        finding.name for finding in attack(Unconfined(("restrict_calls",), files=True), cases) if not finding.held
    }
    assert through == {"passwords"}


def test_all_steps_are_known_here() -> None:
    assert tuple(step.__name__ for step in STEPS) == EVERY_STEP


# Two evaluations at a time


@pytest.mark.parametrize("name", BY_NAME)
def test_two_at_a_time_cannot_find_each_other(name: str) -> None:
    """One stays; the other looks for it in every way there is."""
    source = """
import gc, os, select
def f(rows):
    if rows["stays"].iloc[0]:
        select.poll().poll(400)
        return 0.0
    found = 0
    for pid in range(1, 400):
        for attempt in (lambda: os.kill(pid, 0), lambda: os.pidfd_open(pid), lambda: os.listdir(f"/proc/{pid}/fd")):
            try:
                attempt()
                found += 1
            except OSError:
                pass
    texts = [thing for thing in gc.get_objects() if isinstance(thing, str)]
    return float(found + sum("secret-of-the-first" in text for text in texts))
"""
    backend = BY_NAME[name]
    if backend.missing():
        pytest.skip(backend.missing())
    note = np.array(["secret-of-" + "the-first"], dtype=object)
    first = {"stays": np.array([1.0]), "note": note}
    second = {"stays": np.array([0.0]), "note": np.array(["x"], dtype=object)}
    with backend.open(Code({"study.py": source}, "f"), OUTPUTS) as sandbox:
        outcomes = list(sandbox.evaluate_all([first, second], Limits(cpu_seconds=5)))
    assert [outcome.end for outcome in outcomes] == [End.RETURNED] * 2, [outcome.log for outcome in outcomes]
    assert outcomes[1].arrays is not None and outcomes[1].arrays["got"] == 0


def test_a_template_knows_nothing_of_the_evaluations_before() -> None:
    """What it holds, its next child could read: so it holds the same after any number of evaluations."""
    source = """
import gc, sys
def f(rows):
    if rows["turn"].iloc[0] < 5:
        return 1 / (rows["turn"].iloc[0] - 3)
    template = sys.modules["synthema_core.sandbox.inside.template"]
    found = [thing for thing in gc.get_referrers(template.Template) if isinstance(thing, template.Template)]
    numbers = [value for thing in found for name, value in vars(thing).items()
               if type(value) in (int, float) and name not in ("_pid", "_self", "_base_bytes")]
    kept = [value for thing in found for value in vars(thing).values() if type(value) in (list, dict, set)]
    return float(len(found) * 100 + len(numbers) + len(kept))
"""
    backend = BY_NAME["landlock"]
    with backend.open(Code({"study.py": source}, "f"), OUTPUTS) as sandbox:
        turns = [{"turn": np.array([float(turn)])} for turn in range(6)]
        outcomes = list(sandbox.evaluate_all(turns, Limits(cpu_seconds=5)))
    last = outcomes[-1]
    assert last.end is End.RETURNED, last.log
    assert last.arrays is not None and last.arrays["got"] == 100


# What a site sees of it


def test_a_backend_that_lets_one_through_is_not_offered() -> None:
    assert available_backends(among=(Unconfined(),)) == ()
    with pytest.raises(Unavailable, match="does not hold: passwords"):
        choose_backend(among=(Unconfined(),))


@pytest.mark.parametrize("step", ["restrict_calls", "take_files"])
def test_a_backend_that_forgets_a_step_is_not_offered(step: str) -> None:
    report = examine(among=(without(step),), attacks=[case for case in ATTACKS if case.provable and case.turns == 1])
    assert report.chosen == "" and report.backends[0].through


class Missing:
    name = "missing"

    def missing(self) -> str:
        return "There is no such thing."

    def open(self, *_: object) -> None:
        raise AssertionError("it was opened")


def test_the_best_one_that_holds_is_chosen_and_others_say_why_not() -> None:
    landlock = BY_NAME["landlock"]
    assert choose_backend(among=(Missing(), Unconfined(), landlock)) is landlock  # type: ignore[arg-type]
    with pytest.raises(Unavailable, match="There is no such thing"):
        choose_backend("missing", among=(Missing(), landlock))  # type: ignore[arg-type]
    with pytest.raises(Unavailable, match="there is no sandbox 'magic'"):
        choose_backend("magic")


def test_the_doctor_reports_what_the_machine_has_and_what_each_backend_stops() -> None:
    report = examine(among=(Missing(), Unconfined(), BY_NAME["landlock"]), attacks=QUICK)  # type: ignore[arg-type]
    missing, unconfined, landlock = report.backends
    assert (missing.missing, missing.offered) == ("There is no such thing.", False)
    assert {finding.name for finding in unconfined.through} >= {"passwords", "fork"} and not unconfined.offered
    assert landlock.offered and len(landlock.findings) == len(QUICK) + 1 and landlock.remarks
    assert report.chosen == "landlock"
    assert {means.name for means in report.machine} >= {"bubblewrap", "Landlock", "seccomp", "user name spaces", "user"}


# A module planted where the caller is


def test_no_folder_of_the_callers_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("planted", "numpy", "json", "helpers"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('planted')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "planted.py"))
    monkeypatch.syspath_prepend(tmp_path)
    source = """
import json, sys
def f(rows):
    try:
        import planted
    except ImportError:
        return float(any("planted" in path for path in sys.path))
    return 1.0
"""
    for backend in available_backends():
        with backend.open(Code({"study.py": source}, "f"), OUTPUTS) as sandbox:
            outcome = sandbox.evaluate({"x": np.ones(1)}, Limits(cpu_seconds=5))
        assert outcome.end is End.RETURNED, outcome.log
        assert outcome.arrays is not None and outcome.arrays["got"] == 0
