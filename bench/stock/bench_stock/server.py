"""The ServerApp: Flower's FedAvg as it is, with a clock beside it."""

import json
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()


class TimedFedAvg(FedAvg):
    """Notes how long each round takes: its training alone, and with the evaluation that follows by default."""

    def __init__(self, sites: int) -> None:
        super().__init__(min_train_nodes=sites, min_evaluate_nodes=sites, min_available_nodes=sites)
        self.train_seconds: list[float] = []
        self.round_seconds: list[float] = []
        self._began = 0.0

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        self._began = time.monotonic()
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        aggregated = super().aggregate_train(server_round, replies)
        self.train_seconds.append(time.monotonic() - self._began)
        return aggregated

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        aggregated = super().aggregate_evaluate(server_round, replies)
        self.round_seconds.append(time.monotonic() - self._began)
        return aggregated


@app.main()
def main(grid: Grid, context: Context) -> None:
    config = context.run_config
    strategy = TimedFedAvg(int(config["sites"]))
    start = ArrayRecord([np.zeros(int(config["floats"]))])
    result = strategy.start(grid, start, num_rounds=int(config["rounds"]))
    numbers = result.arrays.to_numpy_ndarrays()[0]
    outcome = {
        "train_seconds": strategy.train_seconds,
        "round_seconds": strategy.round_seconds,
        "smallest": float(numbers.min()),
        "largest": float(numbers.max()),
    }
    unfinished = Path(f"{config['output']}.new")
    unfinished.write_text(json.dumps(outcome))
    unfinished.rename(config["output"])
