"""Runs of what has a release decision at this site: code, and models of diffprivlib.

Begun when every site has approved, ended in a recorded state in any case.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Protocol

from synthema_core.canonical import Json
from synthema_core.code.failures import RunFailure
from synthema_core.errors import NotFound, Refused, SynthemaError, TransitionDenied, Unavailable
from synthema_core.request import Event, Role, Status, Verb
from synthema_core.request_record import record_event, request_record
from synthema_core.sandbox.port import End
from synthema_core.secure_sum.layout import Floats
from synthema_core.staged import is_staged
from synthema_datasite.service.claims import Claim, Claims
from synthema_datasite.service.records import request_records
from synthema_datasite.service.site import Site
from synthema_datasite.service.staging import stage

_log = logging.getLogger(__name__)
_IN_STEP_SECONDS = 60.0
_LOOK_SECONDS = 0.2
_FAILURES = {
    End.RAISED.value: RunFailure.RAISED,
    End.TIMEOUT.value: RunFailure.TIMEOUT,
    End.MEMORY.value: RunFailure.MEMORY,
    End.KILLED.value: RunFailure.KILLED,
    End.BAD_OUTPUT.value: RunFailure.OUTPUT,
}


class CodeWorker(Protocol):
    """The process that alone sees rows and output of one run."""

    def run(self) -> tuple[Floats | None, dict[str, Any]]:
        """The values, or None where the code failed; and the report for this site's stewards."""
        ...

    def kill(self) -> None: ...

    def close(self) -> None: ...


class CodeRuns:
    """As many runs at a time as an evaluation has lanes; the hub gives each a time, so that none may wait for long.

    Parameters
    ----------
    in_step
        Set while this Journal and the hub's hold what the other has countersigned; without it nothing is claimed.
    """

    def __init__(self, site: Site, start_worker: Callable[[Claim], CodeWorker], in_step: threading.Event) -> None:
        self._site, self._start_worker, self._in_step = site, start_worker, in_step
        self._claims = Claims(site)
        self._line = ThreadPoolExecutor(1, "code-run")
        self._lock = threading.Lock()  # so that no worker is started behind the back of `close`
        self._worker: CodeWorker | None = None
        self._ending = False

    def begin(self, request: str, job: str) -> None:
        """The hub says that every site has approved. Returns at once; what has run here does not run again."""
        with suppress(RuntimeError):  # closed already: the approval stays unused
            self._line.submit(self._run, request, job)

    def settle(self) -> None:
        """At the start of a server: a run that an earlier one did not end has failed. Its approval is used up."""
        for record in request_records(self._site.journal, self._site.name):
            if record.request.status is Status.RUNNING and is_staged(record.plan.analysis):
                self._fail(record.request.id, RunFailure.INTERRUPTED, {})

    def close(self) -> None:
        """End what runs, which is recorded as interrupted; begin nothing more."""
        with self._lock:
            self._ending = True
            if self._worker is not None:
                self._worker.kill()
        self._line.shutdown(cancel_futures=True)

    def _run(self, request: str, job: str) -> None:
        try:
            claim = self._claim(request, job)
        except SynthemaError as error:  # the approval is not used: the hub ends the Request in its time
            _log.warning("The code of request %s was not run: %s", request, error)
            return
        except Exception:  # the outermost edge of a thread: record and go on
            _log.exception("The code of request %s was not run.", request)
            return
        try:
            self._run_claimed(claim)
        except Exception as error:  # the text of one that is not ours may hold anything, so only its type is kept
            said = str(error) if isinstance(error, SynthemaError) else type(error).__name__
            _log.warning("The run of request %s failed: %s", request, said)
            self._fail(request, self._kind_of(error), {"log": said})

    def _claim(self, request: str, job: str) -> Claim:
        """Of the Plan in this site's own Journal: the hub says when, not what."""
        until = time.monotonic() + _IN_STEP_SECONDS
        while not self._in_step.wait(_LOOK_SECONDS) and not self._ending:
            if time.monotonic() > until:
                raise Refused("This site's journal and the hub's do not agree.", rule="heads")
        if self._ending:
            raise Unavailable("The server is ending.")
        try:
            plan = request_record(self._site.journal, request, self._site.name).plan
        except NotFound:
            raise Refused("This site knows no such request.", rule="approval") from None
        if not is_staged(plan.analysis):
            raise Refused("Only what has a release decision is run for its output.", rule="protocol")
        return self._claims.claim(job, request, plan.digest)

    def _run_claimed(self, claim: Claim) -> None:
        with self._lock:
            if self._ending:
                raise Unavailable("The server is ending.")
            worker = self._worker = self._start_worker(claim)
        try:
            values, report = worker.run()
        finally:
            with self._lock:
                self._worker = None
            worker.close()
        if values is None:
            self._fail(claim.request, _FAILURES.get(str(report["end"]), RunFailure.ENGINE), report)
        else:
            stage(self._site, claim, values, report)

    def _kind_of(self, error: Exception) -> RunFailure:
        if self._ending:
            return RunFailure.INTERRUPTED
        return RunFailure.REFUSED if isinstance(error, Refused) else RunFailure.ENGINE

    def _fail(self, request: str, kind: RunFailure, report: Mapping[str, Json]) -> None:
        """Record the kind, which the researcher learns; and keep the report, which nobody but stewards reads."""
        detail: dict[str, Json] = {"kind": kind.value, "failure": dict(kind.told(self._site.name))}
        detail |= self._kept(request, report)
        event = Event(Verb.FAIL, self._site.name, Role.SITE, self._site.now(), self._site.name, detail=detail)
        try:
            with self._site.journal.writing() as journal:
                record_event(journal, request_record(journal, request, self._site.name).request, event)
        except TransitionDenied as error:  # the hub ended the Request meanwhile
            _log.info("%s", error)
        except SynthemaError as error:  # `settle` records it when the server starts again
            _log.error("That the run of request %s failed is not recorded: %s", request, error)

    def _kept(self, request: str, report: Mapping[str, Json]) -> dict[str, Json]:
        """Its digest; nothing where there is no report or no room for it, for the failure itself must be recorded."""
        from synthema_datasite.store.staged import write_report

        if not report:
            return {}
        try:
            return {"report": write_report(self._site.state.staged_folder(request), report)}
        except SynthemaError as error:
            _log.warning("What the run of request %s printed is lost: %s", request, error)
            return {}
