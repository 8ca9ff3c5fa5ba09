"""The desk at which a Job's messages are answered. Whatever goes wrong, what leaves is a rule's name and a sentence."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from synthema_core.code.shapes import AGGREGATE, analysis_name
from synthema_core.errors import IntegrityFailure, NotFound, Refused, SynthemaError, to_wire
from synthema_core.journal import Head
from synthema_core.ports import JobWorker
from synthema_core.request import UNDER_WAY, Status
from synthema_core.request_record import request_record
from synthema_core.secure_sum import Announcement
from synthema_core.wire import JobMessage, Kind
from synthema_datasite.service.claims import Claim, Claims
from synthema_datasite.service.records import request_records
from synthema_datasite.service.site import Site

_log = logging.getLogger(__name__)
_MOST_OPEN = 4
_READY = frozenset({Status.APPROVED, Status.CLEARED})

StartWorker = Callable[[Claim], JobWorker]


class ClaimedJobs:
    """The Jobs this site takes part in at the moment, each with its worker process.

    Jobs may be answered in threads of their own, but one Job's messages one after the other.

    Parameters
    ----------
    in_step
        Whether this Journal and the hub's hold what the other has countersigned. One that was set back has forgotten
        approvals that were used and charges that were spent.
    """

    def __init__(self, site: Site, start_worker: StartWorker, in_step: Callable[[], bool]) -> None:
        self._site, self._start_worker, self._in_step = site, start_worker, in_step
        self._claims = Claims(site)
        self._workers: dict[str, JobWorker] = {}
        self._opening = threading.Lock()  # so that two Jobs at a time are not one too many
        self._read_at, self._running, self._expecting = Head(sequence=-1), frozenset[str](), False

    def answer(self, message: JobMessage) -> JobMessage | None:
        """The reply to one message. Raises nothing: a refusal is a reply too."""
        try:
            return self._dispatch(message)
        except Refused as error:
            _log.info("Refused by '%s': %s", error.rule, error)
            return _refusal(error)
        except IntegrityFailure as error:
            _log.warning("%s", error)
            return _refusal(Refused("The job's messages do not hold together.", rule="integrity"))
        except SynthemaError as error:
            _log.warning("%s", error)
        except Exception as error:  # the outermost edge: the text may hold anything, so only its type is kept
            _log.error("A job's message broke the desk: %s", type(error).__name__)
        return _refusal(Refused("This site could not take part; its log says more.", rule="engine"))

    def expects_work(self) -> bool:
        self._read_journal()
        return self._expecting

    def tend(self) -> None:
        """Close the Jobs whose Request has ended by the hub's word: their last message may never have come."""
        opened = set(self._workers)  # before the Journal is read: what is opened meanwhile runs by a newer entry
        if opened:
            self._read_journal()
            for job in opened - self._running:
                self._close(job)

    def _read_journal(self) -> None:
        """Which Jobs run and whether another is due; read again only when the Journal has grown."""
        head = self._site.journal.head()
        if head == self._read_at:
            return
        records = request_records(self._site.journal, self._site.name)
        running = [record for record in records if record.request.status in UNDER_WAY]
        self._running = frozenset(record.job for record in running if record.job)
        self._expecting = bool(running) or any(record.request.status in _READY for record in records)
        self._read_at = head

    def close_all(self) -> None:
        for job in list(self._workers):
            self._close(job)

    def _dispatch(self, message: JobMessage) -> JobMessage | None:
        job = message.text("job")
        if message.kind is Kind.OPEN:
            return self._open(job, message)
        if message.kind is Kind.ROUND:
            return self._round(job, message)
        if message.kind is Kind.CLOSE:
            self._close(job)
            return JobMessage(Kind.CLOSED, {"job": job})
        raise Refused(f"A site does not answer '{message.kind}'.", rule="protocol")

    def _open(self, job: str, message: JobMessage) -> JobMessage:
        if not self._in_step():
            raise Refused("This site's journal and the hub's do not agree, or were not compared yet.", rule="heads")
        with self._opening:
            if len(self._workers) >= _MOST_OPEN:
                raise Refused("This site has as many jobs in hand as it takes.", "Submit it again later.", rule="busy")
            claim = self._claim(job, message.text("request"), message.text("plan_digest"))
            worker = self._workers[job] = self._start_worker(claim)
        try:
            announcement = Announcement(
                site=self._site.name, job=job, plan_digest=claim.plan.digest, mask_key=worker.announce()
            )
        except BaseException:
            self._close(job)
            raise
        signed = announcement.signed(self._site.state.identity())
        return JobMessage(Kind.ANNOUNCED, {"job": job, "announcement": signed.to_dict()})

    def _claim(self, job: str, request: str, plan_digest: str) -> Claim:
        """Code with a release decision has run already, apart from Flower: what is opened is its sum."""
        if self._is_aggregate(request):
            return self._claims.claim_sum(job, request, plan_digest)
        return self._claims.claim(job, request, plan_digest)

    def _is_aggregate(self, request: str) -> bool:
        try:
            record = request_record(self._site.journal, request, self._site.name)
        except NotFound:
            return False
        return record.plan.analysis == analysis_name(AGGREGATE)

    def _round(self, job: str, message: JobMessage) -> JobMessage:
        worker = self._workers.get(job)
        if worker is None:
            raise Refused("This job is not open at this site.", rule="protocol")
        index = message.count("round")
        try:
            masked = worker.answer(index, message.values(), message.body.get("roster"))
        except BaseException:
            self._close(job)  # a job that failed once reveals nothing more
            raise
        return JobMessage(Kind.MASKED, {"job": job, "round": index}, masked)

    def _close(self, job: str) -> None:
        worker = self._workers.pop(job, None)
        if worker is not None:
            worker.close()


def _refusal(error: Refused) -> JobMessage:
    return JobMessage(Kind.REFUSED, {"error": dict(to_wire(error))})
