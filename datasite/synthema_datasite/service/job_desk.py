"""The desk at which a Job's messages are answered. Whatever goes wrong, what leaves is a rule's name and a sentence."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from synthema_core.canonical import Json
from synthema_core.errors import IntegrityFailure, NotFound, Refused, SynthemaError, to_wire
from synthema_core.journal import Head
from synthema_core.ports import JobWorker
from synthema_core.request import UNDER_WAY, Status
from synthema_core.request_record import request_record
from synthema_core.secure_sum import Announcement
from synthema_core.staged import is_staged
from synthema_core.wire import JobMessage, Kind
from synthema_datasite.service.claims import Claim, Claims
from synthema_datasite.service.records import request_records
from synthema_datasite.service.resumption import resumed
from synthema_datasite.service.site import Site
from synthema_datasite.store.job_folder import forget

_log = logging.getLogger(__name__)
_MOST_OPEN = 4
_READY = frozenset({Status.APPROVED, Status.CLEARED})

StartWorker = Callable[[Claim], JobWorker]


class ClaimedJobs:
    """The Jobs this site takes part in at the moment, each with its worker process.

    Jobs may be answered in threads of their own, but one Job's messages one after the other.

    Parameters
    ----------
    start_worker
        Starts the process of a claimed Job; one that another process of this site had begun goes on where it was.
    in_step
        Whether this Journal and the hub's hold what the other has countersigned. One that was set back has forgotten
        approvals that were used and charges that were spent.
    """

    def __init__(self, site: Site, start_worker: StartWorker, in_step: Callable[[], bool]) -> None:
        self._site, self._start_worker, self._in_step = site, start_worker, in_step
        self._claims = Claims(site)
        self._workers: dict[str, JobWorker] = {}
        self._announced: dict[str, tuple[Announcement, float | None]] = {}
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
        folders = self._folders()
        if opened or folders:
            self._read_journal()
            for job in opened - self._running:
                self._close(job)
            for folder in folders - {self._site.state.job_folder(job) for job in self._running}:
                forget(folder)  # of a Job that ended while this site was away

    def _folders(self) -> set[Path]:
        jobs = self._site.state.jobs_folder
        return set(jobs.iterdir()) if jobs.exists() else set()

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
        """End every worker. The Jobs' folders stay: a server that is started again goes on."""
        for job in list(self._workers):
            self._end(job)

    def _dispatch(self, message: JobMessage) -> JobMessage | None:
        job = message.text("job")
        if message.kind is Kind.OPEN:
            return self._open(job, message)
        if message.kind is Kind.CLOSE:
            self._close(job)
            return JobMessage(Kind.CLOSED, {"job": job})
        step = self._steps.get(message.kind)
        if step is None:
            raise Refused(f"A site does not answer '{message.kind}'.", rule="protocol")
        worker = self._worker(job)
        try:
            return step(worker, message)
        except BaseException as error:
            if not (isinstance(error, Refused) and error.rule == "protocol"):  # late or out of turn: nothing was done
                self._close(job)  # a job that failed once reveals nothing more
            raise

    @property
    def _steps(self) -> Mapping[Kind, Callable[[JobWorker, JobMessage], JobMessage]]:
        return {
            Kind.ROSTER: self._deal,
            Kind.ROUND: self._round,
            Kind.UNMASK: self._unmask,
            Kind.CERTIFIED: self._reveal,
        }

    def _worker(self, job: str) -> JobWorker:
        """Of an open Job; or of one that was open when this server was killed."""
        if job not in self._workers:
            self._begin(job, lambda: resumed(self._site, job))
        return self._workers[job]

    def _open(self, job: str, message: JobMessage) -> JobMessage:
        """Asked again, it is the same keys: the answer may have been lost with a process."""
        if self._site.state.job_folder(job).exists():
            self._worker(job)
        else:
            claim = partial(self._claim, job, message.text("request"), message.text("plan_digest"))
            self._begin(job, claim, anew=True)
        announcement, spent = self._announced[job]
        return JobMessage(Kind.ANNOUNCED, {"job": job, "announcement": announcement.to_dict(), "spent": spent})

    def _begin(self, job: str, claim: Callable[[], Claim], *, anew: bool = False) -> None:
        """Start the worker of a Job and sign its keys.

        Parameters
        ----------
        anew
            Whether this call claims it: if its worker refuses it then, nothing of it has ever left.
        """
        self._check_in_step()
        with self._opening:
            if len(self._workers) >= _MOST_OPEN:
                raise Refused("This site has as many jobs in hand as it takes.", "Submit it again later.", rule="busy")
            claimed = claim()
            worker = self._workers[job] = self._start_worker(claimed)
        try:
            announcement = worker.announce()
        except BaseException:
            self._close(job)
            if anew:
                self._claims.withdraw(job)
            raise
        self._announced[job] = announcement.signed(self._site.state.identity()), claimed.spent

    def _check_in_step(self) -> None:
        if not self._in_step():
            raise Refused("This site's journal and the hub's do not agree, or were not compared yet.", rule="heads")

    def _claim(self, job: str, request: str, plan_digest: str) -> Claim:
        """What has a release decision has run already, apart from Flower: what is opened is its sum."""
        if self._is_staged(request):
            return self._claims.claim_sum(job, request, plan_digest)
        return self._claims.claim(job, request, plan_digest)

    def _is_staged(self, request: str) -> bool:
        try:
            record = request_record(self._site.journal, request, self._site.name)
        except NotFound:
            return False
        return is_staged(record.plan.analysis)

    def _deal(self, worker: JobWorker, message: JobMessage) -> JobMessage:
        sealed = worker.deal(message.mapping("roster"))
        return JobMessage(Kind.DEALT, {"job": message.text("job"), "sealed": dict(sealed)})

    def _round(self, worker: JobWorker, message: JobMessage) -> JobMessage:
        index, told = message.count("round"), message.body
        masked = worker.answer(index, message.values(), told.get("roster"), told.get("dealt"))
        return JobMessage(Kind.MASKED, _of_round(message), masked)

    def _unmask(self, worker: JobWorker, message: JobMessage) -> JobMessage:
        """Agree to the survivors: by revealing at once where nobody is missing, else by a signature."""
        chosen, whole = worker.choose(message.count("round"), message.texts("survivors"))
        if whole:
            return self._reveal(worker, message)
        signature = chosen.signature(self._site.state.identity())
        return JobMessage(Kind.SIGNED, {**_of_round(message), "signature": signature})

    def _reveal(self, worker: JobWorker, message: JobMessage) -> JobMessage:
        shares = worker.reveal(message.count("round"), message.body.get("signatures") or {})
        return JobMessage(Kind.REVEALED, {**_of_round(message), "shares": dict(shares)})

    def _close(self, job: str) -> None:
        """End the Job here: its rows go with the worker, its keys with the folder."""
        self._end(job)
        forget(self._site.state.job_folder(job))

    def _end(self, job: str) -> None:
        worker = self._workers.pop(job, None)
        self._announced.pop(job, None)
        if worker is not None:
            worker.close()


def _of_round(message: JobMessage) -> dict[str, Json]:
    return {"job": message.text("job"), "round": message.count("round")}


def _refusal(error: Refused) -> JobMessage:
    return JobMessage(Kind.REFUSED, {"error": dict(to_wire(error))})
