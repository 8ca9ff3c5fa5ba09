"""How two Plans differ, as a researcher is shown it before a reviewer is: every change once, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from support.builders import at, plan
from support.code import OUTPUTS, code, code_plan, per_patient
from synthema_core.code.declaration import read_outputs
from synthema_core.plan import OutputPolicy, Plan, PrivacyTarget
from synthema_kernel.difference import difference
from synthema_kernel.listing import Listing, Tone, listed
from synthema_kernel.markup import Table

OLD = "def f(rows):\n    a = 1\n    return a\n"


def rows(old: Plan, new: Plan) -> dict[str, tuple[str, str]]:
    tables = [part for part in difference(old, new) if isinstance(part, Table)]
    return {part: (before, now) for table in tables for part, before, now in table.rows}


def listings(old: Plan, new: Plan) -> list[Listing]:
    return [part for part in difference(old, new) if isinstance(part, Listing)]


def of(source: str = OLD, helpers: dict[str, str] | None = None, **changes: Any) -> Plan:
    return code_plan(per_patient(code=code(source, "f", **(helpers or {}))), **changes)


def test_changed_lines_are_marked_and_their_surroundings_kept() -> None:
    (listing,) = listings(of(), of(OLD.replace("a = 1", "a = 2")))
    assert listing.caption == "Changes in study.py"
    told = [(tone, line) for tone, line in listing.lines if tone in (Tone.ADDED, Tone.REMOVED)]
    assert told == [(Tone.REMOVED, "-    a = 1"), (Tone.ADDED, "+    a = 2")]
    assert (Tone.PLAIN, "     return a") in listing.lines


def test_a_line_that_looks_like_the_head_of_a_difference_is_none() -> None:
    (listing,) = listings(of(f"{OLD}x = 3\n--x\n"), of(f"{OLD}x = 3\n++x\n"))
    assert (Tone.REMOVED, "---x") in listing.lines
    assert (Tone.ADDED, "+++x") in listing.lines


def test_helpers_that_come_go_and_change_are_each_told() -> None:
    old = of(helpers={"gone": "a = 1\n", "kept": "a = 1\n", "changed": "a = 1\n"})
    new = of(helpers={"come": "a = 1\n", "kept": "a = 1\n", "changed": "a = 2\n"})
    assert [part.caption for part in listings(old, new)] == [f"Changes in {n}.py" for n in ("changed", "come", "gone")]
    heads = {line for part in listings(old, new) for _, line in part.lines[:2]}
    assert {"--- nothing", "+++ come.py", "--- gone.py", "+++ nothing"} <= heads


def test_every_other_part_is_told_in_words() -> None:
    question = per_patient()
    old = code_plan(question)
    new = code_plan(
        replace(
            question, outputs=read_outputs("age=50,flags[3]=2", ("flags",)), cpu_seconds=0.2, capacity=61, clip=0.5
        ),
        epsilon=0.5,
        purpose="Another one",
        output=OutputPolicy(7, 3),
    )
    told = rows(old, new)
    assert told["purpose"] == ("Does it hold?", "Another one")
    assert told["privacy"] == (
        '{"epsilon": 1.0, "delta": 1e-06, "insiders": 1}',
        '{"epsilon": 0.5, "delta": 1e-06, "insiders": 1}',
    )
    assert told["CPU-seconds"] == ("0.1", "0.2")
    assert told["outputs"] == ("age=100, else 50; flags[3]=2, else 0", "age=50, else 0; flags[3]=2 counts, else 0")
    assert told["limits"] == ('{"min_patients": 5, "min_sites": 3}', '{"min_patients": 7, "min_sites": 3}')
    assert {"clip", "capacity"} < set(told)
    assert not {"layout", "supersedes", "created_at", "expires_at", "code", "parameters"} & set(told)


def test_a_default_alone_is_a_change() -> None:
    first, rest = OUTPUTS.outputs[0], OUTPUTS.outputs[1:]
    changed = replace(OUTPUTS, outputs=(replace(first, default=49.0), *rest))
    assert list(rows(code_plan(per_patient()), code_plan(per_patient(outputs=changed)))) == ["outputs"]


def test_another_function_of_the_same_code_is_a_change() -> None:
    two = "def f(rows): ...\ndef g(rows): ...\n"
    old, new = (code_plan(per_patient(code=code(two, name))) for name in "fg")
    assert rows(old, new) == {"function": ("f", "g")}


def test_datasets_are_told_by_site() -> None:
    old = of()
    moved = replace(old.participants[1], version=2)
    new = replace(old, participants=(old.participants[0], moved, old.participants[2]))
    assert rows(old, new) == {"at birch": ("trial (version 1)", "trial (version 2)")}


def test_dates_alone_are_no_change() -> None:
    old = of()
    assert difference(old, replace(old, created_at=at(1), expires_at=at(20), supersedes=old.digest)) == []


@pytest.mark.parametrize(("old", "new"), [(plan(), plan("cox")), (plan(), of()), (of(), plan("histogram"))])
def test_unlike_questions_are_compared_without_complaint(old: Plan, new: Plan) -> None:
    assert rows(old, new)["analysis"] == (old.analysis, new.analysis)


def test_what_another_wrote_is_escaped_and_tabs_and_controls_are_not_obeyed() -> None:
    hostile = "<script>x</script>\t\x1b[2J"
    listing = listed(f"{hostile}\n\n{hostile}", hostile, trouble=True)
    assert "<script" not in listing.html()
    assert listing.html().count("display:block") == 3
    assert "\x1b" not in listing.html() + listing.text()
    assert "\t" not in listing.text()
    (changed,) = listings(of(), of(f"{OLD}x = '{hostile[:-5]}'\n"))
    assert "<script" not in changed.html()


def test_a_long_value_is_cut() -> None:
    told = rows(of(), of(purpose="x" * 500, privacy=PrivacyTarget(2, 1e-6)))
    assert len(told["purpose"][1]) == 120
    assert told["purpose"][1].endswith("…")
