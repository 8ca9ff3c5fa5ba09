"""Jobs: started when every site has approved and is online, followed while they run, ended in a recorded state."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core import moments
from synthema_core.canonical import Json
from synthema_core.errors import NotFound, RoundFailed, TransitionDenied, Unavailable, from_wire
from synthema_core.plan import Mode
from synthema_core.ports import Clock
from synthema_core.release import Release, guarantee_of
from synthema_core.request import Status, Verb
from synthema_core.request_record import RequestRecord
from synthema_hub.service.membership import Membership
from synthema_hub.service.requests import Requests

_log = logging.getLogger(__name__)


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

    def tend(self) -> None:
        """Start what is ready, end what has died. Called by the outermost loop, again and again."""
        with self._turn:
            self._requests.expire_old()
            for record in self._requests.all():
                if record.request.status is Status.APPROVED:
                    self._start(record)
                elif record.request.status is Status.RUNNING:
                    self._look_after(record)

    def _start(self, record: RequestRecord) -> None:
        job = self._new_id()
        self._open[job] = record.request.id
        try:
            away = self._away(record)
            run = None if away else self._flower.start_run({"job": job, "service": self._service_url})
        except Unavailable:
            away, run = ["the SuperLink"], None
        if run is None:
            del self._open[job]
            self._progress[record.request.id] = _waiting_for(away)
            return
        self._progress.pop(record.request.id, None)  # nobody is waited for any more
        try:
            self._requests.start(record.request.id, job, run)
        except TransitionDenied:  # withdrawn, revoked or expired in this moment: the run finds no Job and ends
            _log.info("Request %s was taken back before its job %s began.", record.request.id, job)

    def _away(self, record: RequestRecord) -> list[str]:
        """The Plan's sites that could not take part at this moment: silent here, or not connected to Flower."""
        online = self._flower.online_nodes()
        return [
            site
            for site in record.plan.sites
            if not self._membership.is_online(site) or self._membership.site(site).node not in online
        ]

    def _look_after(self, record: RequestRecord) -> None:
        start = record.last(Verb.START)
        if start is None or not self._has_ended(int(str(start.detail["run"]))):
            return
        try:
            self._requests.fail(
                record.request.id,
                RoundFailed("The coordinator ended without a result; nothing was released.", "Submit it again."),
            )
        except TransitionDenied:  # its result arrived in this moment
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
        if record.job != job or record.request.status is not Status.RUNNING:
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
        start = record.last(Verb.START)
        now = self._clock()
        seconds = (now - moments.read(start.at)).total_seconds() if start else 0.0
        release = Release(
            id=self._new_id(),
            request=record.request.id,
            job=job,
            plan_digest=record.plan.digest,
            question_digest=record.plan.question_digest,
            purpose=record.plan.purpose,
            requester=record.plan.requester,
            result=outcome["result"],
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


def _waiting_for(sites: list[str]) -> dict[str, Json]:
    return {"round": 0, "max_rounds": 0, "text": f"Approved. Waiting for {', '.join(sites)} to come online."}
