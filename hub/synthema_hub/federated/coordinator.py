"""The ServerApp: drives one Job's Rounds. Sees masked contributions and their sum, never a site's own numbers."""

from __future__ import annotations

import logging
import math
import signal

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from synthema_core.analyses import from_plan
from synthema_core.analyses.base import Sums
from synthema_core.analyses.conduct import conduct
from synthema_core.canonical import Json
from synthema_core.charging import mechanism_of
from synthema_core.cli.processes import die_with_parent
from synthema_core.code.questions import CodeQuestion
from synthema_core.errors import RoundFailed, SynthemaError
from synthema_core.plan import Plan
from synthema_core.secure_sum import Announcement, Roster, add
from synthema_core.secure_sum.layout import Floats
from synthema_core.wire import JobMessage, Kind
from synthema_hub.federated.exchange import SiteExchange
from synthema_hub.federated.grid_line import GridLine
from synthema_hub.federated.job_service import JobService

OPEN_SECONDS = 60.0
ROUND_SECONDS = 120.0
CLOSE_SECONDS = 5.0

app = ServerApp()


class Coordinator:
    """One Job: roster, Rounds, result."""

    def __init__(self, job: str, request: str, plan: Plan, exchange: SiteExchange, service: JobService) -> None:
        self._job, self._request, self._plan = job, request, plan
        self._exchange, self._service = exchange, service
        self._analysis = from_plan(plan.analysis, plan.parameters)
        self._mechanism = mechanism_of(plan, self._analysis)
        self._roster: Roster | None = None

    def run(self) -> dict[str, Json]:
        """The Job's outcome, as `JobService.deliver_result` takes it."""
        self._service.report(self._job, 0, self._analysis.max_rounds, "The sites check their approvals and make keys.")
        self._roster = self._open()
        done, rounds = conduct(self._analysis, self._ask)
        return {
            "result": done.result,
            "rounds": rounds,
            "noise_standard_deviation": self._noise_standard_deviation,
            "quantisation_error": self._plan.layout.quantisation_error(len(self._plan.sites)),
        }

    def close(self) -> None:
        """Let the sites drop the Job's rows and keys, whatever came of it."""
        self._exchange.tell_all(JobMessage(Kind.CLOSE, {"job": self._job}), CLOSE_SECONDS)

    def _open(self) -> Roster:
        body = {"job": self._job, "request": self._request, "plan_digest": self._plan.digest}
        replies = self._exchange.ask_all(JobMessage(Kind.OPEN, body), Kind.ANNOUNCED, OPEN_SECONDS)
        announcements = [Announcement.from_dict(reply.body["announcement"]) for reply in replies.values()]
        return Roster.gather(self._job, self._plan.digest, announcements, self._plan.identities)

    def _ask(self, round_index: int, values: Floats) -> Sums:
        if self._roster is None:
            raise RoundFailed("A Round cannot begin before the roster is complete.")
        limit = self._analysis.max_rounds
        self._service.report(self._job, round_index, limit, self._what_happens(round_index))
        body = {"job": self._job, "round": round_index, "roster": self._roster.to_dict() if round_index == 1 else None}
        timeout = self._analysis.answer_seconds + ROUND_SECONDS
        replies = self._exchange.ask_all(JobMessage(Kind.ROUND, body, values), Kind.MASKED, timeout)
        masked = {site: reply.ring() for site, reply in replies.items()}
        total = add(masked, self._plan.sites, self._plan.layout.length)
        return Sums(
            blocks=self._plan.layout.dequantise(total),
            sites=len(masked),
            noise_variance=self._noise_variance,
            min_patients=self._plan.output.min_patients,
        )

    def _what_happens(self, round_index: int) -> str:
        if self._analysis.answer_seconds:
            seconds = math.ceil(self._analysis.answer_seconds)
            return f"Round {round_index}: the code runs; every site answers {seconds:,} seconds after it began."
        return f"Round {round_index}: the sites add their masked numbers."

    @property
    def _noise_standard_deviation(self) -> float | None:
        """Of every released number; None where there is no noise, or none that is the same for all (code)."""
        if self._mechanism is None or isinstance(self._analysis, CodeQuestion):
            return None
        return math.sqrt(self._noise_variance)

    @property
    def _noise_variance(self) -> float:
        return len(self._plan.sites) * self._mechanism.variance if self._mechanism else 0.0


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Flower's entry point. The outcome, good or bad, goes to the federation service."""
    die_with_parent(signal.SIGKILL)  # Flower leaves a run's process behind, deaf to SIGTERM, when its executor ends
    job = str(context.run_config["job"])
    service = JobService.from_environment(str(context.run_config["service"]))
    coordinator = None
    try:
        ticket = service.fetch(job)
        exchange = SiteExchange(GridLine(grid), {site: int(node) for site, node in ticket["nodes"].items()})
        plan = Plan.from_dict(ticket["plan"])
        coordinator = Coordinator(job, ticket["request"], plan, exchange, service)
        service.deliver_result(job, coordinator.run())
    except SynthemaError as error:
        service.deliver_failure(job, error)
    except Exception:
        logging.exception("The coordinator of job %s broke.", job)
        service.deliver_failure(job, RoundFailed("The coordinator broke; nothing was released.", "See the hub's log."))
        raise
    finally:
        if coordinator is not None:
            coordinator.close()
