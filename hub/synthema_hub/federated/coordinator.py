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
from synthema_core.errors import RoundFailed, SynthemaError
from synthema_core.plan import Plan
from synthema_core.secure_sum.layout import Floats
from synthema_core.wire import JobMessage, Kind
from synthema_hub.federated.exchange import SiteExchange
from synthema_hub.federated.grid_line import GridLine
from synthema_hub.federated.job_service import JobService
from synthema_hub.federated.secure_rounds import SecureRounds

CLOSE_SECONDS = 5.0

app = ServerApp()


class Coordinator:
    """One Job: opening, Rounds, result."""

    def __init__(self, job: str, request: str, plan: Plan, exchange: SiteExchange, service: JobService) -> None:
        self._job, self._plan = job, plan
        self._exchange, self._service = exchange, service
        self._analysis = from_plan(plan.analysis, plan.parameters)
        self._mechanism = mechanism_of(plan, self._analysis)
        self._fewest = len(plan.sites)
        self._rounds = SecureRounds(
            job, request, plan, self._analysis.max_rounds, self._analysis.answer_seconds, exchange
        )

    def run(self) -> dict[str, Json]:
        """The Job's outcome, as `JobService.deliver_result` takes it."""
        self._service.report(self._job, 0, self._analysis.max_rounds, "The sites check their approvals and make keys.")
        self._rounds.open()
        done, rounds = conduct(self._analysis, self._ask)
        return {
            "result": done.result,
            "rounds": rounds,
            "noise_standard_deviation": done.result.get("noise_standard_deviation"),  # where all numbers have the same
            "quantisation_error": self._plan.layout.quantisation_error(self._fewest),
            "missing": dict(self._rounds.missing),
            "cumulative": dict(self._rounds.spent),
        }

    def close(self) -> None:
        """Let the sites drop the Job's rows and keys, whatever came of it."""
        self._exchange.tell_all(JobMessage(Kind.CLOSE, {"job": self._job}), CLOSE_SECONDS)

    def _ask(self, round_index: int, values: Floats) -> Sums:
        limit = self._analysis.max_rounds
        self._service.report(self._job, round_index, limit, self._what_happens(round_index))
        summed = self._rounds.sum(round_index, values)
        self._fewest = min(self._fewest, len(summed.sites))
        return Sums(
            blocks=self._plan.layout.dequantise(summed.total),
            sites=len(summed.sites),
            noise_variance=self._noise_variance(len(summed.sites)),
            min_patients=self._plan.output.min_patients,
        )

    def _what_happens(self, round_index: int) -> str:
        if self._analysis.answer_seconds:
            seconds = math.ceil(self._analysis.answer_seconds)
            return f"Round {round_index}: the code runs; every site answers {seconds:,} seconds after it began."
        return f"Round {round_index}: the sites add their masked numbers."

    def _noise_variance(self, sites: int) -> float:
        """Of each value of a sum over so many sites, in squared ring steps."""
        return self._mechanism.sum_variance(sites) if self._mechanism else 0.0


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
