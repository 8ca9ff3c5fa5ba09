"""Questions that were answered before, at the hub: whose answer is shown, what is handed on, and when a Job runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.builders import SITES, at, plan
from support.code import aggregate, code_plan
from support.hub import OUTCOME, SUM, TrialHub
from support.hub_calls import error, summing, told
from synthema_core.identity import public_key
from synthema_core.plan import Plan
from synthema_core.release import Release
from synthema_core.request import Status, Verb

_PRIVATE = {**OUTCOME, "noise_standard_deviation": 7.9, "cumulative": dict.fromkeys(SITES, 1.0)}


@pytest.fixture
def hub(tmp_path: Path) -> TrialHub:
    return TrialHub(tmp_path)


def count(**changes: Any) -> Plan:
    return plan("histogram", **changes)


def released(hub: TrialHub, made: Plan, outcome: dict[str, Any] = _PRIVATE) -> str:
    """A Request of that Plan that a Job has answered."""
    request, job = hub.running(made)
    assert hub.coordinator("POST", f"{job}/result", json=outcome).status_code == 200
    return request


def release_of(hub: TrialHub, request: str, name: str) -> Release:
    answer = hub.person(name, "GET", f"api/requests/{request}/release")
    assert answer.status_code == 200, answer.text
    release = Release.from_dict(answer.json())
    release.check_signature(public_key(hub.state.signing_key()))
    return release


def asked_by_john(hub: TrialHub, **changes: Any) -> str:
    """The same question with every site's approval, and the turn of the hub after it."""
    request = hub.approved(count(requester="john", purpose="For my thesis.", **changes))
    hub.federation.jobs.tend()
    return request


# Whose answers are shown.


def test_a_researcher_finds_their_own_answer_by_its_question(hub: TrialHub) -> None:
    request = released(hub, count())
    question = count(purpose="In other words.", expires_at=at(3)).question_digest
    found = hub.person("rosalind", "GET", f"api/answers/{question}").json()
    assert (found["request"], found["name"]) == (request, "km")
    assert found["release"] == hub.person("rosalind", "GET", f"api/requests/{request}/release").json()


@pytest.mark.parametrize("name", ["john", "maria", "olga"])
def test_nobody_is_told_of_another_ones_answer(hub: TrialHub, name: str) -> None:
    """Not even those who may look at every Request: they have not asked this."""
    released(hub, count())
    assert "no answer" in error(hub.person(name, "GET", f"api/answers/{count().question_digest}"), 404)


def test_what_is_not_released_is_no_answer(hub: TrialHub) -> None:
    hub.running(count())
    error(hub.person("rosalind", "GET", f"api/answers/{count().question_digest}"), 404)
    released(hub, count(epsilon=0.5))
    error(hub.person("rosalind", "GET", f"api/answers/{count().question_digest}"), 404)


# Handing on.


def test_another_researcher_gets_the_stored_numbers_and_nothing_runs(hub: TrialHub) -> None:
    first = release_of(hub, released(hub, count()), "rosalind")
    request = asked_by_john(hub)
    assert (hub.status(request), len(hub.flower.runs)) == (Status.RELEASED, 1)
    second = release_of(hub, request, "john")
    assert (second.reused_from, second.result, second.job) == (first.id, first.result, first.job)
    assert (second.request, second.requester, second.purpose) == (request, "john", "For my thesis.")
    assert second.plan_digest == hub.record(request).plan.digest != first.plan_digest
    assert second.id != first.id
    assert hub.view(request, "john")["reused_from"] == first.id
    detail = dict(told(hub))["reuse"]
    assert (detail["release"]["id"], detail["stored_digest"]) == (second.id, first.digest), "every site is told"


def test_nothing_is_handed_on_before_every_site_has_approved(hub: TrialHub) -> None:
    released(hub, count())
    request = hub.submitted(count(requester="john"))
    for site in SITES[:-1]:
        hub.reviewed(request, site)
        hub.federation.jobs.tend()
        assert hub.status(request) is Status.UNDER_REVIEW
    error(hub.person("john", "GET", f"api/requests/{request}/release"), 404)
    hub.reviewed(request, SITES[-1])
    hub.federation.jobs.tend()
    assert hub.status(request) is Status.RELEASED


def test_nothing_is_handed_on_when_the_approvals_have_expired(hub: TrialHub) -> None:
    released(hub, count())
    request = hub.approved(count(requester="john"))
    hub.later(25)
    hub.federation.requests.reuse(request, {}, "")
    assert hub.status(request) is Status.APPROVED, "also in the moment before the expiry is recorded"
    hub.federation.jobs.tend()
    assert hub.status(request) is Status.EXPIRED


@pytest.mark.parametrize(
    "changes",
    [{"epsilon": 0.5}, {"options": {"column": "arm", "confidence": "0.9"}}],
    ids=["cost", "parameter"],
)
def test_another_question_runs(hub: TrialHub, changes: dict[str, Any]) -> None:
    released(hub, count())
    assert hub.status(asked_by_john(hub, **changes)) is Status.RUNNING


def test_who_has_an_answer_and_asks_again_gets_another_one(hub: TrialHub) -> None:
    first = released(hub, count())
    again, _ = hub.running(count(purpose="Once more."))
    assert len(hub.flower.runs) == 2
    assert first != again
    request = asked_by_john(hub)
    assert hub.record(request).last(Verb.REUSE), "the stored one, while the other is computed"
    later = hub.approved(count(requester="john", purpose="Mine anew."))
    hub.federation.jobs.tend()
    assert hub.status(later) is Status.APPROVED, "waits for the one of rosalind's that is computed"


def test_the_same_question_of_two_researchers_is_computed_once(hub: TrialHub) -> None:
    first, second = hub.approved(count()), hub.approved(count(requester="john"))
    hub.federation.jobs.tend()
    assert (hub.status(first), hub.status(second)) == (Status.RUNNING, Status.APPROVED)
    assert "same question" in hub.view(second, "john")["progress"]["text"]
    assert len(hub.flower.runs) == 1
    job = hub.record(first).job
    hub.coordinator("POST", f"{job}/result", json=_PRIVATE)
    hub.federation.jobs.tend()
    assert release_of(hub, second, "john").reused_from == release_of(hub, first, "rosalind").id


def test_where_the_first_fails_the_second_runs(hub: TrialHub) -> None:
    first, second = hub.approved(count()), hub.approved(count(requester="john"))
    hub.federation.jobs.tend()
    hub.flower.ended.add(1)
    for _ in range(2):
        hub.federation.jobs.tend()
    assert (hub.status(first), hub.status(second)) == (Status.FAILED, Status.RUNNING)


def test_what_was_handed_on_is_not_handed_on_again(hub: TrialHub) -> None:
    """The sites know the original: a chain of copies could lose what it is a copy of."""
    first = release_of(hub, released(hub, count()), "rosalind")
    asked_by_john(hub)
    for number in range(2):
        hub_request = hub.approved(count(requester="olga", purpose=f"Third {number}"))
        hub.federation.jobs.tend()
        if number == 0:
            assert release_of(hub, hub_request, "olga").reused_from == first.id


def test_an_exact_answer_since_then_is_said_with_the_stored_one(hub: TrialHub) -> None:
    before = release_of(hub, released(hub, count()), "rosalind")
    assert "No end-to-end" not in before.guarantee.statement
    released(hub, plan(), OUTCOME)
    after = release_of(hub, asked_by_john(hub), "john")
    assert "No end-to-end" in after.guarantee.statement
    assert after.guarantee.noise_standard_deviation == before.guarantee.noise_standard_deviation


def test_code_is_read_without_what_a_site_gave_to_the_first_alone(hub: TrialHub) -> None:
    """The approval's condition holds for the second reader, whatever the first was given."""
    made = code_plan(aggregate())
    first = hub.cleared(made)
    hub.coordinator("POST", f"{summing(hub, first)}/result", json=SUM)
    assert hub.status(first) is Status.RELEASED
    request = hub.submitted(replace(made, requester="john"))
    name = SUM["result"]["outputs"][0]["name"]
    hub.reviewed(request, "alder", without=(name,))
    for site in SITES[1:]:
        hub.reviewed(request, site)
    hub.federation.jobs.tend()
    outputs = {one["name"]: one["values"] for one in release_of(hub, request, "john").result["outputs"]}
    assert set(outputs[name]) == {None}
    assert all(None not in values for other, values in outputs.items() if other != name)


def test_an_approval_to_read_is_answered_by_reading(hub: TrialHub) -> None:
    """Two of the same author's, both approved for the stored answer: a run would be refused by the sites."""
    released(hub, count())
    requests = [hub.submitted(count(requester="john", purpose=f"Number {number}")) for number in range(2)]
    for request in requests:
        for site in SITES:
            hub.reviewed(request, site, answered_by="r-first")
    hub.federation.jobs.tend()
    assert [hub.status(request) for request in requests] == [Status.RELEASED] * 2
    assert len(hub.flower.runs) == 1
    assert all(site["reading"] for site in hub.view(requests[0], "john")["sites"])
