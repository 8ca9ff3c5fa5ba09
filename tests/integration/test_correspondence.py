"""What people at sites and researchers tell each other through the hub, and what its pages and events show of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.builders import SITES, at, days_later, plan
from support.code import aggregate, code_plan, per_block
from support.hub import STEWARDS, SUM, TrialHub
from support.hub_calls import answers, asks, error, fails, shares, summing, told
from support.listening import listening
from synthema_core.identity import public_key
from synthema_core.plan import Plan
from synthema_core.request import Status

MARKUP = "<script>alert('x')</script><b onclick=x>\"bold\"&amp;"


@pytest.fixture
def hub(tmp_path: Path) -> TrialHub:
    return TrialHub(tmp_path)


# Questions and answers.


def test_a_steward_asks_and_the_author_answers_where_all_can_read_it(hub: TrialHub) -> None:
    request = hub.submitted()
    hub.clock.now = days_later(1)
    for _ in range(2):
        assert asks(hub, request, "birch").status_code == 200
    assert answers(hub, request).status_code == 200
    thread = [
        {"who": "steward-birch", "site": "birch", "text": "Why a hundred days?", "at": at()},
        {"who": "rosalind", "site": "", "text": "Thirty would do.", "at": at(1)},
    ]
    assert hub.view(request)["thread"] == thread
    page = hub.browser("maria", f"requests/{request}").text
    assert "Why a hundred days?" in page and "Thirty would do." in page
    assert hub.status(request) is Status.UNDER_REVIEW
    for site in SITES:
        assert told(hub, site)[1:] == [("answer", {"text": "Thirty would do."})]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"steward": "eve"}, 422),
        ({"steward": "steward-alder"}, 422),
        ({"text": " \n"}, 422),
        ({"text": "x" * 4_001}, 422),
        ({"text": "\ud800"}, 422),
        ({"text": None}, 422),
        ({"at": "yesterday"}, 422),
        ({"at": None}, 422),
    ],
)
def test_a_question_is_a_stewards_and_a_text(hub: TrialHub, changes: dict[str, Any], status: int) -> None:
    request = hub.submitted()
    error(asks(hub, request, "birch", **changes), status)
    assert hub.view(request)["thread"] == []


def test_who_has_decided_asks_no_more(hub: TrialHub) -> None:
    request = hub.approved()
    error(asks(hub, request, "birch"), 409)


@pytest.mark.parametrize(
    ("name", "status"), [("john", 403), ("maria", 403), ("olga", 403), ("guest", 403), ("forged", 401)]
)
def test_only_its_author_answers(hub: TrialHub, name: str, status: int) -> None:
    request = hub.submitted()
    asks(hub, request, "birch")
    error(answers(hub, request, name=name), status)
    assert len(hub.view(request)["thread"]) == 1


@pytest.mark.parametrize("text", ["", " ", "x" * 4_001, None, 7, "\ud800"])
def test_an_answer_is_a_text(hub: TrialHub, text: Any) -> None:
    request = hub.submitted()
    asks(hub, request, "birch")
    error(answers(hub, request, text), 422)
    assert len(hub.view(request)["thread"]) == 1


def test_there_is_no_answer_without_a_question_or_after_the_decision(hub: TrialHub) -> None:
    request = hub.submitted()
    assert "No steward has asked" in error(answers(hub, request), 409)
    asks(hub, request, "birch")
    for site in SITES:
        hub.reviewed(request, site)
    error(answers(hub, request), 409)
    assert len(hub.view(request)["thread"]) == 1


# Logs that stewards share.


def test_what_a_steward_shares_is_read_by_the_author_alone(hub: TrialHub) -> None:
    request = hub.computing()
    fails(hub, request, "birch", "raised")
    for _ in range(2):
        assert shares(hub, request, "birch").status_code == 200
    shared = [{"site": "birch", "steward": "steward-birch", "text": "ZeroDivisionError", "at": at()}]
    assert hub.person("rosalind", "GET", f"api/requests/{request}/log").json() == shared
    assert hub.view(request)["logs"] == 1
    assert "ZeroDivisionError" in hub.browser("rosalind", f"requests/{request}").text
    for name in ("john", "maria", "olga"):
        error(hub.person(name, "GET", f"api/requests/{request}/log"), 404)
        assert "ZeroDivisionError" not in hub.browser(name, f"requests/{request}").text
    assert "ZeroDivisionError" not in str([told(hub, site) for site in SITES])


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "x" * 20_001},
        {"text": None},
        {"text": "\ud800"},
        {"steward": "eve"},
        {"steward": "steward-alder"},
        {"at": "yesterday"},
    ],
)
def test_a_log_that_no_steward_of_the_site_shared_is_not_kept(hub: TrialHub, changes: dict[str, Any]) -> None:
    request = hub.computing()
    error(shares(hub, request, "birch", **changes), 422)
    assert hub.person("rosalind", "GET", f"api/requests/{request}/log").json() == []


# Who reads what.


@pytest.mark.parametrize(("name", "status"), [("rosalind", 200), ("maria", 200), ("john", 404), ("guest", 403)])
def test_the_plan_is_read_by_those_who_may_see_the_request(hub: TrialHub, name: str, status: int) -> None:
    request = hub.submitted(code_plan(aggregate()))
    response = hub.person(name, "GET", f"api/requests/{request}/plan")
    assert response.status_code == status
    if status == 200:
        assert Plan.from_dict(response.json()) == hub.record(request).plan


@pytest.mark.parametrize(
    ("made", "shape"),
    [(plan(), ""), (code_plan(per_block(), epsilon=1.0), "per-block"), (code_plan(aggregate()), "aggregate")],
)
def test_a_view_names_the_shape_of_code(hub: TrialHub, made: Plan, shape: str) -> None:
    view = hub.view(hub.submitted(made))
    assert view["shape"] == shape
    assert {site["output"] for site in view["sites"]} == {None}


def test_owners_see_what_waits_for_them_and_are_led_to_their_datasite(hub: TrialHub) -> None:
    request = hub.staged()
    hub.clears(request, "alder")
    page = hub.browser("maria", "").text
    assert "Waiting for a release decision" in page
    assert f'href="https://birch.example/requests/{request}"' in page
    assert f'href="https://alder.example/requests/{request}"' not in page, "it has decided"
    assert "Waiting for a release decision" not in hub.browser("rosalind", "").text
    one = hub.browser("maria", f"requests/{request}").text
    assert one.count("decide at the datasite") == 2
    for text in (page, one):
        assert not any(f"<{element}" in text for element in ("form", "button", "input", "script"))
    hub.clears(request, "birch", cleared=False, reason="No.")
    assert "Waiting for a release decision" not in hub.browser("maria", "").text


def test_the_pages_show_hostile_text_as_text(hub: TrialHub) -> None:
    hub.announce("birch", page=f'javascript:alert(1)//"{MARKUP}')
    hub.announce("alder", stewards={MARKUP: public_key(STEWARDS["alder"])}, page=f'https://x"{MARKUP}/')
    request = hub.submitted(code_plan(aggregate(), purpose=MARKUP), name=MARKUP)
    asks(hub, request, "alder", MARKUP, steward=MARKUP)
    answers(hub, request, MARKUP)
    hub.reviewed(request, "alder", steward=MARKUP, reason=MARKUP)
    for site in ("birch", "cedar"):
        hub.reviewed(request, site)
    hub.federation.jobs.tend()
    for site in SITES:
        hub.stages(request, site)
    shares(hub, request, "alder", MARKUP, steward=MARKUP)
    queue = hub.browser("maria", "").text
    hub.clears(request, "alder", steward=MARKUP, cleared=False, reason=MARKUP)
    one = hub.browser("rosalind", f"requests/{request}").text
    for page in (queue, one):
        assert "&lt;script&gt;" in page
        assert "<script" not in page and "<b onclick" not in page
        assert 'href="javascript:' not in page and 'href="https://x"' not in page
    assert one.count("&lt;b onclick=x&gt;") >= 9, "purpose, question, answer, log, two decisions and who said them"


# The stream of events.


def test_the_stream_tells_of_every_step(hub: TrialHub) -> None:
    request = hub.submitted(code_plan(aggregate()))
    job: list[str] = []
    steps: list[Callable[[], Any]] = [
        lambda: asks(hub, request, "birch"),
        lambda: answers(hub, request),
        *(lambda site=site: hub.reviewed(request, site) for site in SITES),
        lambda: hub.federation.jobs.tend(),
        *(lambda site=site: hub.stages(request, site) for site in SITES),
        lambda: shares(hub, request, "alder"),
        *(lambda site=site: hub.clears(request, site) for site in SITES),
        lambda: job.append(summing(hub, request)),
        lambda: hub.coordinator("POST", f"{job[0]}/result", json=SUM),
    ]
    views = asyncio.run(listening(hub, request, steps))
    assert [view["status"] for view in views] == [
        *["under_review"] * 5,
        "approved",
        *["running"] * 3,
        *["staged"] * 4,
        "cleared",
        "summing",
        "released",
    ]
    assert [len(view["thread"]) for view in views[:4]] == [0, 1, 2, 2]
    assert [view["logs"] for view in views[8:11]] == [0, 0, 1]
    cleared = [sum((site["output"] or {}).get("state") == "cleared" for site in view["sites"]) for view in views]
    assert cleared[10:14] == [0, 1, 2, 3]


def test_a_plan_that_is_asked_again_is_another_request(hub: TrialHub) -> None:
    """What replaces another names it, and starts from the beginning."""
    first = hub.staged()
    made = replace(code_plan(aggregate()), supersedes=hub.record(first).plan.digest)
    second = hub.submitted(made)
    assert (hub.view(second)["supersedes"], hub.status(second)) == (made.supersedes, Status.UNDER_REVIEW)
