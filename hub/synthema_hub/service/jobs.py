"""Jobs: started when every site has approved and is online, followed while they run, ended in a recorded state.

Code with a release decision is run by the sites themselves first, without Flower: what starts then is a run at each
site, what is waited for is that each has staged its output and cleared it, and the Job of Flower is the sum.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core import moments
from synthema_core.analyses import from_plan
from synthema_core.canonical import Json
from synthema_core.clearance import Clearance
from synthema_core.code.questions import CodeQuestion
from synthema_core.code.references import redacted
from synthema_core.code.timing import WALL_FACTOR
from synthema_core.errors import NotFound, RoundFailed, TransitionDenied, Unavailable, from_wire
from synthema_core.plan import Mode
from synthema_core.ports import Clock
from synthema_core.release import Release, guarantee_of
from synthema_core.request import UNDER_WAY, Status, Verb
from synthema_core.request_record import RequestRecord
from synthema_core.review import Review
from synthema_core.staged import outputs_of
from synthema_hub.service.membership import Membership
from synthema_hub.service.mirror import runs_before_sum
from synthema_hub.service.requests import Requests
from synthema_hub.service.stored_answers import being_answered, handed_on, stored_answer

_log = logging.getLogger(__name__)
RUN_SECONDS = 300.0
"""What a site has beyond the limit for the code itself: to hear of it, read rows, leave out each patient in turn."""


class RunStarter(Protocol):
    """Flower, as far as Jobs need it."""

    def online_nodes(self) -> frozenset[int]:
        """The nodes that are connected now."""
        ...

    def start_run(self, config: Mapping[str, str]) -> int:
        """Start our one app with this configuration; return the run's id."""
        ...

    def has_ended(self, run: int) -> bool: ...


class Jobs:
    """One execution of each approved Request.

    Parameters
    ----------
    service_url
        Where the coordinator finds this service, on the hub's own machine.
    key
        The hub's signing key, for Releases.
    """

    def __init__(
        self,
        requests: Requests,
        membership: Membership,
        flower: RunStarter,
        clock: Clock,
        new_id: Callable[[], str],
        service_url: str,
        key: Ed25519PrivateKey,
    ) -> None:
        self._requests, self._membership, self._flower = requests, membership, flower
        self._clock, self._new_id, self._service_url, self._key = clock, new_id, service_url, key
        self._progress: dict[str, dict[str, Json]] = {}
        self._open: dict[str, str] = {}
        self._turn = threading.Lock()
        self._since = clock()

    def tend(self) -> None:
        """Start what is ready, end what has died. Called by the outermost loop, again and again."""
        with self._turn:
            self._requests.expire_old()
            for record in self._requests.all():
                self._tend(record)

    def _tend(self, record: RequestRecord) -> None:
        status, apart = record.request.status, runs_before_sum(record.plan)
        if status is Status.APPROVED:
            self._answer(record)
        elif status is Status.CLEARED:
            self._start(record, Verb.SUM)
        elif status is Status.RUNNING and apart:
            self._await_outputs(record)
        elif status in UNDER_WAY:
            self._look_after(record)

    def _answer(self, record: RequestRecord) -> None:
        """From the stored Release where the question was answered before; by a Job where it was not."""
        records = self._requests.all()  # afresh: the same question may have been begun in this very turn
        if stored := stored_answer(records, record):
            self._hand_on(stored, record)
        elif being_answered(records, record):
            self._progress[record.request.id] = _told("Approved. The same question is being answered already.")
        elif runs_before_sum(record.plan):
            self._start_apart(record)
        else:
            self._start(record, Verb.START)

    def _hand_on(self, stored: Release, record: RequestRecord) -> None:
        """What was asked was answered before: the stored Release is this Request's, too, and nothing runs."""
        release = handed_on(
            stored,
            record,
            identifier=self._new_id(),
            at=moments.spell(self._clock()),
            result=_without_what_sites_kept(record, dict(stored.result)),
            guarantee=guarantee_of(
                record.plan, stored.guarantee.noise_standard_deviation, exact_before=self._exact_before(record)
            ),
        )
        self._progress.pop(record.request.id, None)
        try:
            self._requests.reuse(record.request.id, release.signed(self._key).to_dict(), stored.digest)
        except TransitionDenied:  # withdrawn or revoked in this moment
            _log.info("Request %s was taken back before it got its stored answer.", record.request.id)

    def _start(self, record: RequestRecord, verb: Verb) -> None:
        """One run of Flower, as soon as every site can take part."""
        job = self._new_id()
        self._open[job] = record.request.id
        try:
            away = self._away(record)
            run = None if away else self._flower.start_run({"job": job, "service": self._service_url})
        except Unavailable:
            away, run = ["the SuperLink"], None
        if run is None:
            del self._open[job]
            self._progress[record.request.id] = _waiting_for(away, record.request.status)
            return
        self._record_start(record, verb, job, str(run))

    def _start_apart(self, record: RequestRecord) -> None:
        """The sites run the code by themselves: they are told in the feed, and Flower is not needed."""
        away = [site for site in record.plan.sites if not self._membership.is_online(site)]
        if away:
            self._progress[record.request.id] = _waiting_for(away, record.request.status)
            return
        self._record_start(record, Verb.START, self._new_id(), "")

    def _record_start(self, record: RequestRecord, verb: Verb, job: str, run: str) -> None:
        self._progress.pop(record.request.id, None)  # nobody is waited for any more
        try:
            self._requests.start(record.request.id, verb, job, run)
        except TransitionDenied:  # withdrawn, revoked or expired in this moment: the run finds no Job and ends
            _log.info("Request %s was taken back before its job %s began.", record.request.id, job)

    def _await_outputs(self, record: RequestRecord) -> None:
        """Every site stages its output in time, or says how its run failed; one that stays silent ends the Request."""
        if record.begun is None or self._clock() < self._latest_output(record, record.begun.at):
            return
        missing = ", ".join(site for site in record.plan.sites if site not in record.request.staged)
        self._fail(
            record, RoundFailed(f"No answer from {missing} in time; nothing was released.", "Submit it again later.")
        )

    def _latest_output(self, record: RequestRecord, started_at: str) -> datetime:
        """A hub that was away gives the sites their time anew: they could not tell it what they had done."""
        question = from_plan(record.plan.analysis, record.plan.parameters)
        limit = question.cpu_seconds if isinstance(question, CodeQuestion) else 0.0
        return max(moments.read(started_at), self._since) + timedelta(seconds=WALL_FACTOR * limit + RUN_SECONDS)

    def _away(self, record: RequestRecord) -> list[str]:
        """The Plan's sites that could not take part at this moment: silent here, or not connected to Flower."""
        online = self._flower.online_nodes()
        return [
            site
            for site in record.plan.sites
            if not self._membership.is_online(site) or self._membership.site(site).node not in online
        ]

    def _look_after(self, record: RequestRecord) -> None:
        if record.begun is not None and self._has_ended(int(str(record.begun.detail["run"]))):
            self._fail(
                record,
                RoundFailed("The coordinator ended without a result; nothing was released.", "Submit it again."),
            )

    def _fail(self, record: RequestRecord, error: RoundFailed) -> None:
        try:
            self._requests.fail(record.request.id, error)
        except TransitionDenied:  # what was waited for arrived in this moment
            return

    def _has_ended(self, run: int) -> bool:
        try:
            return self._flower.has_ended(run)
        except Unavailable:
            return False

    def ticket(self, job: str) -> dict[str, Json]:
        """What the coordinator needs: the Plan and each site's node. NotFound for a Job that is not running."""
        record = self._record(job)
        nodes: dict[str, Json] = {site: str(self._membership.site(site).node) for site in record.plan.sites}
        return {"job": job, "request": record.request.id, "plan": record.plan.to_dict(), "nodes": nodes}

    def _record(self, job: str) -> RequestRecord:
        identifier = self._open.get(job)
        record = self._requests.get(identifier) if identifier else self._requests.by_job(job)
        if record.job != job or not _is_summing(record):
            raise NotFound(f"The job '{job}' is not running.")
        return record

    def report(self, job: str, progress: Mapping[str, Json]) -> str:
        """Keep the latest progress for people to see; return the Request's id."""
        identifier = self._record(job).request.id
        self._progress[identifier] = dict(progress)
        return identifier

    def progress(self, identifier: str) -> dict[str, Json] | None:
        return self._progress.get(identifier)

    def finish(self, job: str, outcome: Mapping[str, Any]) -> None:
        """Make, sign and record the Release. Idempotent: a Job that is over keeps its first outcome."""
        record = self._running(job)
        if record is None:
            return
        now = self._clock()
        seconds = (now - moments.read(record.begun.at)).total_seconds() if record.begun else 0.0
        release = Release(
            id=self._new_id(),
            request=record.request.id,
            job=job,
            plan_digest=record.plan.digest,
            question_digest=record.plan.question_digest,
            purpose=record.plan.purpose,
            requester=record.plan.requester,
            result=_without_what_sites_kept(record, outcome["result"]),
            guarantee=guarantee_of(
                record.plan, outcome["noise_standard_deviation"], exact_before=self._exact_before(record)
            ),
            sites=record.plan.sites,
            datasets=tuple(sorted({participant.dataset for participant in record.plan.participants})),
            released_at=moments.spell(now),
            seconds=round(seconds, 3),
            rounds=int(outcome["rounds"]),
            quantisation_error=float(outcome["quantisation_error"]),
            engine=record.plan.engine,
            missing={site: str(why) for site, why in outcome["missing"].items()},
            cumulative={site: float(epsilon) for site, epsilon in outcome["cumulative"].items()},
            cohort=record.plan.cohort,
        )
        self._requests.release(record.request.id, release.signed(self._key).to_dict())

    def fail(self, job: str, failure: Mapping[str, str]) -> None:
        """Record why the Job ended without a result. Idempotent."""
        record = self._running(job)
        if record is not None:
            self._requests.fail(record.request.id, from_wire(failure))

    def _running(self, job: str) -> RequestRecord | None:
        try:
            return self._record(job)
        except NotFound:
            return None

    def _exact_before(self, record: RequestRecord) -> bool:
        asked = {(participant.site, participant.dataset) for participant in record.plan.participants}
        return any(
            earlier.plan.mode is Mode.EXACT
            and earlier.request.status is Status.RELEASED
            and asked & {(participant.site, participant.dataset) for participant in earlier.plan.participants}
            for earlier in self._requests.all()
        )


def _is_summing(record: RequestRecord) -> bool:
    """Whether a Job of Flower runs. The sites' own runs of code have a job, too, but nothing that could be released."""
    return record.request.status is (Status.SUMMING if runs_before_sum(record.plan) else Status.RUNNING)


def _without_what_sites_kept(record: RequestRecord, result: dict[str, Json]) -> dict[str, Json]:
    """What any site did not give is random in the sum, and left out of the Release."""
    outputs = outputs_of(from_plan(record.plan.analysis, record.plan.parameters))
    return result if outputs is None else redacted(result, left_out(record), outputs)


def left_out(record: RequestRecord) -> tuple[str, ...]:
    """The outputs and cells that some site does not give: conditions of its Reviews, and redactions when it cleared."""
    kept: list[str] = []
    for event in record.events:
        if event.verb is Verb.REVIEW and event.verdict:
            kept += Review.from_dict(event.detail).without
        elif event.verb is Verb.CLEAR and event.verdict:
            kept += Clearance.from_dict(event.detail).redacted
    return tuple(dict.fromkeys(kept))


def _waiting_for(sites: list[str], status: Status) -> dict[str, Json]:
    return _told(f"{status.value.capitalize()}. Waiting for {', '.join(sites)} to come online.")


def _told(text: str) -> dict[str, Json]:
    return {"round": 0, "max_rounds": 0, "text": text}
