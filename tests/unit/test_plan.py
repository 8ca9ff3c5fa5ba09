"""The Plan's digest: nothing that matters can change without it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.builders import SITES, at, plan
from synthema_core.canonical import canonical, digest
from synthema_core.errors import InvalidInput, InvalidPlan
from synthema_core.plan import Plan, describe_change


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in leaves(item, (*path, key))]
    if isinstance(value, list) and value:
        return [leaf for index, item in enumerate(value) for leaf in leaves(item, (*path, index))]
    return [(path, value)]


def changed(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return ("0" if value[:1] != "0" else "1") + value[1:]
    return [*value, 1]


WHOLE = plan("histogram", epsilon=1.0).to_dict()
EVERY_LEAF = [path for path, _ in leaves(WHOLE)]


@pytest.mark.parametrize("path", EVERY_LEAF, ids=lambda path: ".".join(map(str, path)))
def test_the_digest_changes_with_every_part(path: tuple[Any, ...]) -> None:
    """A Plan with any one part changed is refused, or is another Plan."""
    other = json.loads(json.dumps(WHOLE))
    place = other
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = changed(place[path[-1]])
    assert digest(other) != digest(WHOLE)
    try:
        made = Plan.from_dict(other)
    except InvalidPlan:
        return
    assert made.digest == digest(other)


def test_a_plan_reads_back_as_itself() -> None:
    for analysis in ("kaplan-meier", "cox", "histogram"):
        original = plan(analysis)
        again = Plan.from_dict(json.loads(json.dumps(original.to_dict())))
        assert again == original
        assert again.digest == original.digest


def test_the_question_digest_is_about_the_question_only() -> None:
    first = plan()
    later = plan(purpose="Something else", created_at=at(1), expires_at=at(9), requester="ada")
    assert later.question_digest == first.question_digest
    assert later.digest != first.digest
    assert plan(options={"time": "days", "event": "died", "step": "200"}).question_digest != first.question_digest


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sites": SITES[:2]}, "needs at least 3 sites"),
        ({"purpose": "  "}, "for what purpose"),
        ({"requester": ""}, "who asks"),
        ({"expires_at": at(-1)}, "expires before"),
        ({"max_runs": 2}, "one run"),
        ({"engine": "latest"}, "digest"),
    ],
)
def test_bad_plans_are_sent_back_with_a_sentence(change: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidPlan, match=says):
        plan(**change)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda data: data.pop("engine"),
        lambda data: data.update(extra=1),
        lambda data: data.update(participants="all"),
        lambda data: data.update(privacy=3),
        lambda data: data["participants"].reverse(),
        lambda data: data.update(layout=[]),
        lambda data: data["participants"].append(data["participants"][0]),
        lambda data: data["participants"][0].update(site="Not A Site"),
        lambda data: data["participants"][0].update(identity="00"),
    ],
)
def test_json_that_is_no_plan_is_refused(break_it: Any) -> None:
    data = json.loads(json.dumps(plan().to_dict()))
    break_it(data)
    with pytest.raises(InvalidPlan):
        Plan.from_dict(data)


def test_a_reviewer_is_shown_what_changed() -> None:
    changes = describe_change(plan(), plan(purpose="Another purpose"))
    assert [part for part, _, _ in changes] == ["purpose"]


def test_canonical_json_has_one_spelling() -> None:
    assert canonical({"b": 1, "a": [1.5, "é"]}) == '{"a":[1.5,"é"],"b":1}'.encode()
    for bad in (float("nan"), float("inf"), {1, 2}, b"x"):
        with pytest.raises(InvalidInput):
            canonical(bad)
