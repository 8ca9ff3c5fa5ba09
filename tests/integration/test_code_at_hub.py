"""Code with a release decision, as the hub sees it: told to the sites, staged and cleared there, summed, released."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.builders import KEYS, SITES, at, card, days_later, plan
from support.code import aggregate, code_plan, per_block, per_patient
from support.hub import OUTCOME, STEWARDS, SUM, TrialHub, output_of
from support.hub_calls import asks, error, fails, revokes, shares, summing, told, verbs
from synthema_core.code.failures import RunFailure
from synthema_core.errors import RoundFailed, from_wire, to_wire
from synthema_core.identity import public_key
from synthema_core.plan import Plan
from synthema_core.release import Release
from synthema_core.request import Role, Status, Verb
from synthema_core.review import Verdict

SECOND = 1 / 86400
BLOCKS = code_plan(per_block(), epsilon=1.0)


@pytest.fixture
def hub(tmp_path: Path) -> TrialHub:
    return TrialHub(tmp_path)


# The sites run it.


def test_the_sites_are_told_to_run_it_and_flower_is_not_needed(hub: TrialHub) -> None:
    hub.flower.is_away = True
    request = hub.computing()
    job = hub.record(request).job
    assert hub.flower.runs == {}
    for site in SITES:
        assert [(verb, detail.get("job")) for verb, detail in told(hub, site)] == [("submit", None), ("start", job)]


@pytest.mark.parametrize("made", [plan(), BLOCKS, code_plan(per_patient(), epsilon=1.0)])
def test_every_other_plan_is_opened_by_flower_and_not_by_the_feed(hub: TrialHub, made: Plan) -> None:
    hub.running(made)
    assert len(hub.flower.runs) == 1
    assert verbs(hub) == ["submit"]


def test_it_begins_once(hub: TrialHub) -> None:
    request = hub.computing()
    before = hub.journal.head()
    for _ in range(3):
        hub.federation.jobs.tend()
    assert (hub.journal.head(), hub.status(request)) == (before, Status.RUNNING)


def test_it_waits_until_every_site_calls(hub: TrialHub) -> None:
    request = hub.approved(code_plan(aggregate()))
    hub.clock.now = days_later(1)
    hub.federation.membership.saw("alder")
    hub.federation.jobs.tend()
    assert hub.view(request)["progress"]["text"] == "Approved. Waiting for birch, cedar to come online."
    hub.later(1)
    hub.federation.jobs.tend()
    assert hub.view(request)["progress"]["text"] == "The code runs at alder, birch, cedar."


def test_an_output_that_waits_is_a_commitment_and_nothing_else(hub: TrialHub) -> None:
    request = hub.computing()
    assert hub.stages(request, "alder").status_code == 200
    staged = hub.record(request).last(Verb.STAGE)
    assert (staged.actor, staged.role, staged.site) == ("alder", Role.SITE, "alder")
    assert staged.detail == {"output": output_of("alder")}
    assert hub.view(request)["progress"]["text"] == "The code runs at birch, cedar."
    assert hub.status(request) is Status.RUNNING
    for site in ("birch", "cedar"):
        hub.stages(request, site)
    assert hub.status(request) is Status.STAGED
    assert "stage" not in verbs(hub), "what a site has put out is no other's business"


def test_what_is_staged_twice_is_recorded_once_and_never_replaced(hub: TrialHub) -> None:
    request = hub.computing()
    hub.stages(request, "alder")
    before = hub.journal.head()
    assert hub.stages(request, "alder").status_code == 200
    assert "Another output of 'alder'" in error(hub.stages(request, "alder", "0" * 64), 422)
    assert hub.journal.head() == before


@pytest.mark.parametrize("commitment", ["", "ab", "x" * 64, "AB" * 32, "0" * 65, 7, None])
def test_a_commitment_is_a_digest(hub: TrialHub, commitment: Any) -> None:
    request = hub.computing()
    body = {"commitment": commitment, "at": at()}
    error(hub.site("alder", "POST", f"/sites/requests/{request}/staged", body), 422)
    assert hub.record(request).request.staged == frozenset()


@pytest.mark.parametrize("made", [plan(), BLOCKS])
def test_nothing_else_has_an_output_a_failure_or_a_log(hub: TrialHub, made: Plan) -> None:
    """Of code with a guarantee, not even the kind of failure may be told: the guarantee would be gone."""
    request, _ = hub.running(made)
    before = hub.journal.head()
    for call in (
        hub.stages(request, "alder"),
        hub.clears(request, "alder"),
        fails(hub, request, "alder"),
        shares(hub, request, "alder"),
    ):
        error(call, 409)
    assert (hub.journal.head(), hub.status(request)) == (before, Status.RUNNING)


def test_nothing_is_staged_before_it_was_told_to_run(hub: TrialHub) -> None:
    request = hub.approved(code_plan(aggregate()))
    error(hub.stages(request, "alder"), 409)
    assert hub.record(request).request.staged == frozenset()


def test_a_site_that_is_not_asked_has_no_say(tmp_path: Path) -> None:
    hub = TrialHub(tmp_path, (*SITES, "douglas"))
    request = hub.computing()
    before = hub.journal.head()
    for call in (
        hub.stages(request, "douglas"),
        hub.clears(request, "douglas"),
        fails(hub, request, "douglas"),
        shares(hub, request, "douglas"),
        asks(hub, hub.submitted(), "douglas"),
    ):
        error(call, 409)
    assert "start" not in verbs(hub, "douglas")
    assert hub.status(request) is Status.RUNNING
    assert [entry.actor for entry in hub.journal.after(before.sequence) if entry.actor == "douglas"] == []


# What goes wrong in a run.


@pytest.mark.parametrize("kind", RunFailure)
def test_the_kind_of_a_failure_is_told_and_nothing_more(hub: TrialHub, kind: RunFailure) -> None:
    request = hub.computing()
    hub.stages(request, "alder")
    more = {"log": "patient 7", "failure": {"message": "patient 7"}, "text": "patient 7"}
    assert fails(hub, request, "birch", kind.value, **more).status_code == 200
    assert hub.status(request) is Status.FAILED
    failure = hub.view(request)["failure"]
    assert failure == kind.told("birch") and kind.sentence in from_wire(failure).message
    assert "patient 7" not in str([entry.body for entry in hub.journal.all_entries()])
    assert verbs(hub) == ["submit", "start", "fail"]
    before = hub.journal.head()
    assert fails(hub, request, "birch", kind.value).status_code == 200
    assert hub.journal.head() == before


@pytest.mark.parametrize("kind", ["", "ZeroDivisionError: patient 7", "Timeout", None, 7])
def test_a_failure_of_no_known_kind_is_refused(hub: TrialHub, kind: Any) -> None:
    request = hub.computing()
    assert "patient 7" not in error(fails(hub, request, "birch", kind), 422)
    assert hub.status(request) is Status.RUNNING


def test_a_site_cannot_fail_the_sum_from_outside(hub: TrialHub) -> None:
    request = hub.cleared()
    hub.federation.jobs.tend()
    error(fails(hub, request, "alder"), 409)
    assert hub.status(request) is Status.SUMMING


def test_a_site_that_does_not_answer_ends_the_request(hub: TrialHub) -> None:
    """Four times the code's limit of one second, and five minutes."""
    request = hub.computing()
    hub.stages(request, "birch")
    hub.later(303.5 * SECOND)
    hub.federation.jobs.tend()
    assert hub.status(request) is Status.RUNNING
    hub.later(304.5 * SECOND)
    hub.federation.jobs.tend()
    assert hub.status(request) is Status.FAILED
    assert hub.view(request)["failure"]["message"].startswith("No answer from alder, cedar in time")
    hub.stages(request, "alder")
    assert hub.status(request) is Status.FAILED


def test_code_that_may_take_longer_is_waited_for_longer(hub: TrialHub) -> None:
    request = hub.computing(code_plan(aggregate(cpu_seconds=100.0)))
    hub.later(699 * SECOND)
    hub.federation.jobs.tend()
    assert hub.status(request) is Status.RUNNING
    hub.later(701 * SECOND)
    hub.federation.jobs.tend()
    assert hub.status(request) is Status.FAILED


def test_a_hub_that_was_away_gives_the_sites_their_time_anew(hub: TrialHub, tmp_path: Path) -> None:
    request = hub.computing()
    again = restarted(tmp_path, hub, hours=5)
    again.federation.jobs.tend()
    assert again.status(request) is Status.RUNNING
    again.clock.now = hub.clock.now = days_later(5 / 24 + 305 * SECOND)
    again.federation.jobs.tend()
    assert again.status(request) is Status.FAILED


def restarted(folder: Path, hub: TrialHub, *, hours: float = 0.0) -> TrialHub:
    """The same hub, some time later; everybody calls again."""
    again = TrialHub(folder, (), now=days_later(hours / 24), flower=hub.flower)
    again.later(hours / 24)
    return again


# Release decisions.


def test_when_every_steward_has_cleared_it_is_summed_by_flower(hub: TrialHub) -> None:
    request = hub.staged()
    for number, site in enumerate(SITES):
        waiting = ", ".join(SITES[number:])
        assert hub.view(request)["progress"]["text"] == f"Waits for the release decision of {waiting}."
        hub.federation.jobs.tend()
        assert (hub.status(request), hub.flower.runs) == (Status.STAGED, {})
        assert hub.clears(request, site).status_code == 200
    assert hub.status(request) is Status.CLEARED
    hub.federation.jobs.tend()
    hub.federation.jobs.tend()
    assert hub.status(request) is Status.SUMMING
    record = hub.record(request)
    assert hub.flower.runs == {1: {"job": record.job, "service": "http://service"}}, "and once"
    assert record.job != record.last(Verb.START).detail["job"], "the sum is a job of its own"


def test_a_decision_comes_while_other_sites_still_compute(hub: TrialHub) -> None:
    request = hub.computing()
    hub.stages(request, "alder")
    assert hub.clears(request, "alder").status_code == 200
    assert hub.status(request) is Status.RUNNING
    assert hub.view(request)["sites"][0]["output"]["state"] == "cleared"
    for site in ("birch", "cedar"):
        hub.stages(request, site)
        assert hub.clears(request, site).status_code == 200
    assert hub.status(request) is Status.CLEARED


def test_one_no_withholds_it_from_all(hub: TrialHub) -> None:
    request = hub.staged()
    hub.clears(request, "alder")
    assert hub.clears(request, "birch", cleared=False, reason="One patient alone.").status_code == 200
    assert hub.status(request) is Status.WITHHELD
    outputs = [site["output"] for site in hub.view(request)["sites"]]
    assert [output["state"] for output in outputs] == ["cleared", "withheld", "staged"]
    assert (outputs[1]["reason"], outputs[1]["by"]) == ("One patient alone.", "steward-birch")
    assert verbs(hub, "cedar")[-1] == "withhold"
    hub.federation.jobs.tend()
    assert hub.flower.runs == {}
    assert "One patient alone." in hub.browser("rosalind", f"requests/{request}").text


def two_stewards(hub: TrialHub, site: str = "alder") -> dict[str, Any]:
    """A second steward of the site; what she signs with."""
    second = {"steward": "second", "key": KEYS["douglas"]}
    keys = {f"steward-{site}": public_key(STEWARDS[site]), "second": public_key(KEYS["douglas"])}
    hub.announce(site, stewards=keys)
    return second


def test_where_a_site_wants_two_stewards_both_approve_and_both_clear(hub: TrialHub) -> None:
    second = two_stewards(hub)
    request = hub.submitted(code_plan(aggregate()))
    for site in ("birch", "cedar"):
        hub.reviewed(request, site)
    hub.reviewed(request, "alder", stewards_needed=2)
    before = hub.journal.head()
    assert hub.reviewed(request, "alder", stewards_needed=2).status_code == 200, "told twice"
    assert (hub.journal.head(), hub.status(request)) == (before, Status.UNDER_REVIEW)
    view = hub.view(request)["sites"][0]
    assert (view["verdict"], view["by"]) == ("waiting", "steward-alder")
    hub.reviewed(request, "alder", stewards_needed=2, **second)
    assert hub.status(request) is Status.APPROVED
    assert hub.view(request)["sites"][0]["by"] == "steward-alder, second"
    hub.federation.jobs.tend()
    for site in SITES:
        hub.stages(request, site)
    for site in ("birch", "cedar"):
        hub.clears(request, site)
    hub.clears(request, "alder", stewards_needed=2)
    before = hub.journal.head()
    assert hub.clears(request, "alder", stewards_needed=2).status_code == 200, "told twice"
    assert (hub.journal.head(), hub.status(request)) == (before, Status.STAGED)
    hub.clears(request, "alder", stewards_needed=2, **second)
    assert hub.status(request) is Status.CLEARED


def test_the_second_steward_can_still_say_no(hub: TrialHub) -> None:
    second = two_stewards(hub)
    request = hub.submitted()
    hub.reviewed(request, "alder", stewards_needed=2)
    hub.reviewed(request, "alder", stewards_needed=2, verdict=Verdict.REJECTED, reason="No.", **second)
    assert hub.status(request) is Status.REJECTED


FORGERIES: dict[str, tuple[dict[str, Any], str]] = {
    "another site's steward's key": ({"key": STEWARDS["birch"]}, "signature"),
    "the site's own key": ({"key": KEYS["alder"]}, "signature"),
    "by policy": ({"steward": "policy:0000", "key": KEYS["alder"]}, "not a steward"),
    "a stranger": ({"steward": "eve"}, "not a steward of 'alder'"),
    "another site's steward": ({"steward": "steward-birch", "key": STEWARDS["birch"]}, "not a steward of 'alder'"),
    "for another site": ({"site": "birch"}, "another site"),
    "another site's own": (
        {"site": "birch", "steward": "steward-birch", "key": STEWARDS["birch"], "output": output_of("birch")},
        "another site",
    ),
    "another plan": ({"plan_digest": plan().digest}, "another Plan"),
    "another output": ({"output": output_of("birch")}, "another output"),
    "an unknown output left out": ({"redacted": ("survivors",)}, "cannot be found"),
    "an unknown cell left out": ({"redacted": ("deaths[2]",)}, "cannot be found"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_clearance_does_not_enter(hub: TrialHub, forgery: str) -> None:
    request = hub.staged()
    changes, said = FORGERIES[forgery]
    forged = hub.clearance(request, "alder", **changes).to_dict()
    before = hub.journal.head()
    assert said in error(hub.site("alder", "POST", "/sites/clearances", forged), 422)
    assert hub.journal.head() == before


@pytest.mark.parametrize(
    "change",
    [
        {"cleared": False, "reason": "No."},
        {"redacted": []},
        {"output": output_of("birch")},
        {"stewards_needed": 1},
        {"decided_at": at(1)},
        {"signature": ""},
    ],
)
def test_a_clearance_changed_after_it_was_signed_does_not_enter(hub: TrialHub, change: dict[str, Any]) -> None:
    request = hub.staged()
    signed = hub.clearance(request, "alder", redacted=("years",), stewards_needed=2).to_dict()
    error(hub.site("alder", "POST", "/sites/clearances", {**signed, **change}), 422)
    assert hub.record(request).request.cleared_by == {}


def test_a_clearance_of_one_request_clears_no_other(hub: TrialHub) -> None:
    """The same Plan twice, with the same output: each needs a decision of its own."""
    first, second = hub.staged(), hub.staged()
    clearance = hub.clearance(first, "alder").to_dict()
    assert "signature" in error(hub.site("alder", "POST", "/sites/clearances", {**clearance, "request": second}), 422)
    for _ in range(2):
        assert hub.site("alder", "POST", "/sites/clearances", clearance).status_code == 200
    assert hub.record(first).request.cleared == {"alder"}
    assert hub.record(second).request.cleared == frozenset()


def test_an_old_clearance_is_worth_nothing_after_the_end(hub: TrialHub) -> None:
    request = hub.staged()
    clearances = [hub.clearance(request, site).to_dict() for site in SITES]
    hub.clears(request, "birch", cleared=False, reason="No.")
    before = hub.journal.head()
    for site, clearance in zip(SITES, clearances, strict=True):
        assert hub.site(site, "POST", "/sites/clearances", clearance).status_code == 200
    hub.federation.jobs.tend()
    assert (hub.journal.head(), hub.status(request)) == (before, Status.WITHHELD)


def test_nothing_is_cleared_before_it_waits(hub: TrialHub) -> None:
    request = hub.computing()
    hub.stages(request, "birch")
    assert "nothing waits at 'alder'" in error(hub.clears(request, "alder"), 409)
    assert hub.record(request).request.cleared == frozenset()


def test_nobody_clears_what_their_own_request_put_out(hub: TrialHub) -> None:
    hub.announce("alder", stewards={"rosalind": card("alder").identity, "ann": public_key(STEWARDS["alder"])})
    request = hub.submitted(code_plan(aggregate()))
    hub.reviewed(request, "alder", steward="ann")
    for site in ("birch", "cedar"):
        hub.reviewed(request, site)
    hub.federation.jobs.tend()
    for site in SITES:
        hub.stages(request, site)
    assert "own request" in error(hub.clears(request, "alder", steward="rosalind", key=KEYS["alder"]), 409)
    assert hub.clears(request, "alder", steward="ann").status_code == 200


# What is taken back, and what grows old.


@pytest.mark.parametrize("reach", [TrialHub.staged, TrialHub.cleared])
def test_a_yes_is_taken_back_until_the_sum_starts(hub: TrialHub, reach: Callable[[TrialHub], str]) -> None:
    request = reach(hub)
    assert revokes(hub, request, "birch").status_code == 200
    assert hub.status(request) is Status.REVOKED
    assert verbs(hub)[-1] == "revoke"
    hub.federation.jobs.tend()
    assert hub.flower.runs == {}


def test_a_sum_that_runs_is_not_taken_back(hub: TrialHub) -> None:
    request = hub.cleared()
    hub.federation.jobs.tend()
    error(revokes(hub, request, "birch"), 409)
    assert hub.status(request) is Status.SUMMING


def test_a_site_that_takes_its_yes_back_while_others_compute(hub: TrialHub) -> None:
    """What has run there is taken back; where it had not begun, the others wait for nothing any more."""
    done = hub.computing()
    hub.stages(done, "birch")
    revokes(hub, done, "birch")
    assert hub.status(done) is Status.REVOKED
    before_its_run = hub.computing(code_plan(aggregate(), purpose="Again."))
    assert revokes(hub, before_its_run, "birch").status_code == 200
    assert revokes(hub, before_its_run, "birch").status_code == 200
    assert hub.status(before_its_run) is Status.FAILED
    assert "'birch' took the approval back" in hub.view(before_its_run)["failure"]["message"]


def test_only_a_steward_takes_back(hub: TrialHub) -> None:
    request = hub.staged()
    body = {"steward": "eve", "at": at()}
    error(hub.site("birch", "POST", f"/sites/requests/{request}/revocation", body), 422)
    assert hub.status(request) is Status.STAGED


@pytest.mark.parametrize("reach", [TrialHub.staged, TrialHub.cleared])
def test_what_waits_too_long_expires(hub: TrialHub, reach: Callable[[TrialHub], str]) -> None:
    request = reach(hub)
    hub.flower.asleep = {"node-cedar"}
    hub.later(19.9)  # the Reviews end on the 20th day
    hub.federation.jobs.tend()
    assert hub.status(request) not in (Status.EXPIRED, Status.SUMMING)
    hub.flower.asleep = set()
    hub.later(20)
    hub.federation.jobs.tend()
    assert (hub.status(request), hub.flower.runs) == (Status.EXPIRED, {})
    assert verbs(hub)[-1] == "expire"


def test_what_waits_is_withdrawn_by_its_author(hub: TrialHub) -> None:
    request = hub.staged()
    assert hub.person("rosalind", "POST", f"api/requests/{request}/withdrawal").json()["status"] == "withdrawn"
    assert verbs(hub)[-1] == "withdraw"


# The sum.


def test_a_cleared_request_waits_for_every_node(hub: TrialHub) -> None:
    request = hub.cleared()
    hub.flower.asleep = {"node-cedar"}
    hub.federation.jobs.tend()
    assert hub.status(request) is Status.CLEARED
    assert hub.view(request)["progress"]["text"] == "Cleared. Waiting for cedar to come online."
    hub.flower.asleep = set()
    summing(hub, request)
    assert hub.view(request)["progress"] is None


def test_the_sum_becomes_a_release_that_says_who_decided(hub: TrialHub) -> None:
    request = hub.cleared()
    hub.clock.now = days_later(1)
    hub.later(1)
    job = summing(hub, request)
    hub.clock.now = days_later(1 + 2 * SECOND)
    assert hub.coordinator("GET", job).json()["request"] == request
    progress = {"round": 1, "max_rounds": 1, "text": "Round 1."}
    hub.coordinator("POST", f"{job}/progress", json=progress)
    assert hub.view(request)["progress"] == progress
    assert hub.coordinator("POST", f"{job}/result", json=SUM).status_code == 200
    release = Release.from_dict(hub.person("rosalind", "GET", f"api/requests/{request}/release").json())
    release.check_signature(hub.federation.hub_key)
    assert (release.job, release.seconds, release.guarantee.kind) == (job, 2.0, "released")
    assert release.result == {**SUM["result"], "left_out": []}
    assert hub.status(request) is Status.RELEASED
    assert verbs(hub)[-1] == "release"


def test_what_any_site_kept_is_left_out_of_the_release(hub: TrialHub) -> None:
    """There the sum is random: conditions of the Reviews, and what was redacted when it was looked at."""
    request = hub.submitted(code_plan(aggregate()))
    for site in SITES:
        hub.reviewed(request, site, without=("years",) if site == "birch" else ())
    hub.federation.jobs.tend()
    for site in SITES:
        hub.stages(request, site)
        hub.clears(request, site, redacted=("deaths[1]",) if site == "cedar" else ())
    sites = hub.view(request)["sites"]
    assert [site["without"] for site in sites] == [[], ["years"], []]
    assert [site["output"]["left_out"] for site in sites] == [[], [], ["deaths[1]"]]
    job = summing(hub, request)
    hub.coordinator("POST", f"{job}/result", json=SUM)
    result = hub.person("rosalind", "GET", f"api/requests/{request}/release").json()["result"]
    assert [output["values"] for output in result["outputs"]] == [[7.0, None], [None]]
    assert result["left_out"] == ["years", "deaths[1]"]


def test_what_a_site_keeps_of_code_with_a_guarantee_is_left_out_too(hub: TrialHub) -> None:
    request = hub.submitted(BLOCKS)
    for site in SITES:
        hub.reviewed(request, site, without=("flags[0]",) if site == "birch" else ())
    hub.federation.jobs.tend()
    outputs = [{"name": "age", "values": [1.0]}, {"name": "flags", "values": [1.0, 2.0, 3.0]}]
    outcome = {**OUTCOME, "result": {"kind": "code-per-block", "outputs": outputs}, "noise_standard_deviation": 3.0}
    hub.coordinator("POST", f"{hub.record(request).job}/result", json=outcome)
    release = hub.person("rosalind", "GET", f"api/requests/{request}/release").json()
    assert [output["values"] for output in release["result"]["outputs"]] == [[1.0], [None, 2.0, 3.0]]
    assert release["guarantee"]["noise_standard_deviation"] is None
    assert "for each block of patients" in release["guarantee"]["statement"]


@pytest.mark.parametrize(
    ("made", "without"),
    [(code_plan(aggregate()), ("survivors",)), (code_plan(aggregate()), ("deaths[7]",)), (plan(), ("deaths",))],
)
def test_a_review_that_keeps_what_is_not_there_does_not_enter(
    hub: TrialHub, made: Plan, without: tuple[str, ...]
) -> None:
    """A Release is made from it: an unknown name would show only then."""
    request = hub.submitted(made)
    error(hub.reviewed(request, "alder", without=without), 422)
    assert hub.record(request).request.approved_by == {}


def test_nothing_is_released_for_the_job_in_which_the_sites_computed(hub: TrialHub) -> None:
    request = hub.computing()
    job = hub.record(request).job
    error(hub.coordinator("GET", str(job)), 404)
    hub.coordinator("POST", f"{job}/result", json=SUM)
    hub.coordinator("POST", f"{job}/failure", json=to_wire(RoundFailed("No.")))
    assert hub.status(request) is Status.RUNNING
    for site in SITES:
        hub.stages(request, site)
        hub.clears(request, site)
    summing(hub, request)
    hub.coordinator("POST", f"{job}/result", json=SUM)
    assert hub.status(request) is Status.SUMMING


def test_a_sum_that_fails_is_recorded(hub: TrialHub) -> None:
    request = hub.cleared()
    job = summing(hub, request)
    hub.coordinator("POST", f"{job}/failure", json=to_wire(RoundFailed("A site was missing.")))
    assert (hub.status(request), verbs(hub)[-1]) == (Status.FAILED, "fail")


def test_a_sum_whose_run_ended_without_a_result_has_failed(hub: TrialHub) -> None:
    request = hub.cleared()
    summing(hub, request)
    hub.flower.ended = {1}
    hub.federation.jobs.tend()
    assert hub.status(request) is Status.FAILED


def test_after_a_steward_released_output_no_release_promises_end_to_end(hub: TrialHub) -> None:
    request = hub.cleared()
    hub.coordinator("POST", f"{summing(hub, request)}/result", json=SUM)
    later, job = hub.running(plan("histogram", epsilon=0.5))
    hub.coordinator("POST", f"{job}/result", json={**OUTCOME, "noise_standard_deviation": 3.0})
    statement = hub.person("rosalind", "GET", f"api/requests/{later}/release").json()["guarantee"]["statement"]
    assert "No end-to-end DP guarantee: an exact or steward-released output" in statement


def test_a_restarted_hub_goes_on_wherever_it_was(hub: TrialHub, tmp_path: Path) -> None:
    request = hub.submitted(code_plan(aggregate()))
    for site in SITES:
        hub.reviewed(request, site)
    hub = restarted(tmp_path, hub)
    hub.federation.jobs.tend()
    assert hub.status(request) is Status.RUNNING
    hub = restarted(tmp_path, hub)
    for site in SITES:
        hub.stages(request, site)
    hub = restarted(tmp_path, hub)
    assert hub.view(request)["progress"]["text"].startswith("Waits for the release decision of alder")
    for site in SITES:
        hub.clears(request, site)
    hub = restarted(tmp_path, hub)
    job = summing(hub, request)
    hub = restarted(tmp_path, hub)
    assert hub.coordinator("GET", job).json()["request"] == request
    hub.coordinator("POST", f"{job}/result", json=SUM)
    assert hub.status(request) is Status.RELEASED
