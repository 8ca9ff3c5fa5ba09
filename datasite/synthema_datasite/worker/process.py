"""The server's end of a worker: a process of its own for each Job, the only one that sees its rows and mask key."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from synthema_core.analyses import from_plan
from synthema_core.canonical import Json
from synthema_core.code.questions import Aggregate
from synthema_core.code.timing import WALL_FACTOR
from synthema_core.errors import RoundFailed, Unavailable, from_wire
from synthema_core.secure_sum import Announcement, Survivors
from synthema_core.secure_sum.layout import Floats, Ring
from synthema_core.staged import StagedQuestion
from synthema_datasite.service.claims import Claim
from synthema_datasite.worker.frames import Frame, read_frame, write_frame
from synthema_datasite.worker.specification import specification

_CLOSE_SECONDS = 2.0
_ANSWER_SECONDS = 110.0  # beyond the time that the Plan fixes; the hub gives up after 120
_RUN_SECONDS = 300.0
"""For one run of code beyond its own limit: reading rows, leaving each patient out, checking."""
#: The only environment a worker gets: it needs no secrets, proxies or settings of the server.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}


class WorkerProcess:
    """Implements JobWorker and CodeWorker over pipes. Keeps the rows loaded between Rounds; gone with the Job.

    Parameters
    ----------
    rows
        The Parquet file of the claimed Dataset version.
    folder
        The Job's, with what it must not forget.
    sandbox
        Name of the backend in which code runs.
    """

    def __init__(self, claim: Claim, site: str, rows: Path, salt: bytes, folder: Path, sandbox: str = "") -> None:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "synthema_datasite.worker.main"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=_ENVIRONMENT,
            )
        except OSError as error:
            raise Unavailable(f"No worker process could be started: {error.strerror}.") from None
        self._specification = specification(claim, site, rows, salt, folder, sandbox)
        self._analysis = from_plan(claim.plan.analysis, claim.plan.parameters)

    def announce(self) -> Announcement:
        """Load the rows, make the Job's keys (or take them up again); their public halves."""
        reply = self._ask(Frame({"do": "open", **self._specification}))
        return Announcement.from_dict(reply.body["announcement"])

    def deal(self, roster: Mapping[str, Any]) -> Mapping[str, Json]:
        return dict(self._ask(Frame({"do": "deal", "roster": roster})).body["sealed"])

    def answer(
        self,
        round_index: int,
        values: Floats,
        roster: Mapping[str, Any] | None,
        dealt: Mapping[str, Any] | None,
    ) -> Ring:
        patience = self._analysis.answer_seconds + _ANSWER_SECONDS
        told = {"do": "round", "round": round_index, "roster": roster, "dealt": dealt}
        reply = self._ask(Frame(told, values), patience)
        if reply.array is None:
            raise RoundFailed("The worker answered a round without numbers.")
        return reply.array  # type: ignore[return-value]

    def choose(self, round_index: int, survivors: Sequence[str]) -> tuple[Survivors, bool]:
        reply = self._ask(Frame({"do": "choose", "round": round_index, "survivors": list(survivors)}))
        return Survivors.from_statement(reply.body["survivors"]), bool(reply.body["whole"])

    def reveal(self, round_index: int, signatures: Mapping[str, str]) -> Mapping[str, Json]:
        reply = self._ask(Frame({"do": "reveal", "round": round_index, "signatures": dict(signatures)}))
        return dict(reply.body["shares"])

    def run(self) -> tuple[Floats | None, dict[str, Any]]:
        """Run it once: its values, or None where code failed; and the report for this site's stewards."""
        if not isinstance(self._analysis, StagedQuestion):
            raise RoundFailed("Only what has a release decision is run for its output.")
        limit = self._analysis.cpu_seconds if isinstance(self._analysis, Aggregate) else 0.0
        patience = WALL_FACTOR * limit + _RUN_SECONDS
        reply = self._ask(Frame({"do": "run", **self._specification}), patience)
        return reply.array, dict(reply.body["report"])  # type: ignore[return-value]

    def close(self) -> None:
        """End the process; rows and keys go with it."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):  # a frame for a worker that had died is still in the pipe's buffer
                self._process.stdin.close()
        try:
            self._process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def kill(self) -> None:
        """End it at once, whatever it is doing; from another thread, too."""
        self._process.kill()

    def _ask(self, frame: Frame, seconds: float = _ANSWER_SECONDS) -> Frame:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RoundFailed("The job's worker has no pipes.")
        patience = threading.Timer(seconds, self._process.kill)  # a worker that hangs must not hang the site
        patience.start()
        try:
            write_frame(stdin, frame)  # type: ignore[arg-type]
            reply = read_frame(stdout)  # type: ignore[arg-type]
        except (BrokenPipeError, ValueError):
            reply = None
        finally:
            patience.cancel()
        if reply is None:
            raise RoundFailed("The job's worker process ended early.", "See the datasite's log.")
        if "error" in reply.body:
            raise from_wire(reply.body["error"])
        return reply
