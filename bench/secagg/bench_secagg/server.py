"""The ServerApp: Flower's default workflow as it is, its training half in plain or by SecAgg+, with a clock."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from flwr.app import Context
from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.compat.common.recorddict_compat import arrayrecord_to_parameters
from flwr.server import LegacyContext, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow
from flwr.server.workflow.constant import MAIN_PARAMS_RECORD
from flwr.server.workflow.default_workflows import default_evaluate_workflow, default_fit_workflow
from flwr.serverapp import Grid, ServerApp

app = ServerApp()

Workflow = Callable[[Grid, Context], None]


class Timed:
    """A workflow, and how many seconds each of its calls took."""

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow
        self.seconds: list[float] = []

    def __call__(self, grid: Grid, context: Context) -> None:
        began = time.monotonic()
        self._workflow(grid, context)
        self.seconds.append(time.monotonic() - began)


@app.main()
def main(grid: Grid, context: Context) -> None:
    config = context.run_config
    sites = int(config["sites"])
    start = ndarrays_to_parameters([np.zeros(int(config["floats"]))])
    strategy = FedAvg(
        min_fit_clients=sites, min_evaluate_clients=sites, min_available_clients=sites, initial_parameters=start
    )
    legacy = LegacyContext(context, ServerConfig(num_rounds=int(config["rounds"])), strategy)
    secure = SecAggPlusWorkflow(num_shares=sites, reconstruction_threshold=sites - 1)
    training = Timed(secure if config["secure"] else default_fit_workflow)
    evaluation = Timed(default_evaluate_workflow)
    DefaultWorkflow(training, evaluation)(grid, legacy)
    record = legacy.state.array_records[MAIN_PARAMS_RECORD]
    numbers = parameters_to_ndarrays(arrayrecord_to_parameters(record, keep_input=True))[0]
    outcome = {
        "train_seconds": training.seconds,
        "round_seconds": [sum(both) for both in zip(training.seconds, evaluation.seconds, strict=True)],
        "smallest": float(numbers.min()),
        "largest": float(numbers.max()),
    }
    unfinished = Path(f"{config['output']}.new")
    unfinished.write_text(json.dumps(outcome))
    unfinished.rename(config["output"])
