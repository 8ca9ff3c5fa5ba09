"""A Round without what makes it secure, to measure beside the one with it. There is no such thing in the product.

Whoever can install a package at hub and sites can change anything there. The bench does so, in an environment that is
gone with it: in the two kinds of processes that a Job has to itself, the coordinator and the sites' workers, the steps
that a plain sum needs take the place of the whole in some Rounds. Everything around them is the same: datasites,
claims, messages, TLS, pipes, the numbers and their rounding, the bytes of the Contributions, and the sum.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from synthema_core.secure_sum import add
from synthema_core.secure_sum.layout import Floats, Ring
from synthema_core.wire import JobMessage, Kind

LEFT_OUT = ("nothing", "noise", "masks")
_WORKER, _COORDINATOR = "synthema_datasite.worker.contributor", "synthema_hub.federated.secure_rounds"


@cache
def arrange(without: tuple[str, ...]) -> None:
    """Leave out of this process's Rounds what is said, in turn; nothing happens in processes that have none.

    Parameters
    ----------
    without
        Of LEFT_OUT: "masks" stands for masks and noise, and all that is there for them.
    """
    worker, coordinator = sys.modules.get(_WORKER), sys.modules.get(_COORDINATOR)
    if worker is not None:
        _arrange_worker(worker, without)
    if coordinator is not None:
        _arrange_coordinator(coordinator, without)


def _arrange_worker(module: Any, without: tuple[str, ...]) -> None:
    whole, draw = module.Contributor.contribute, module.draw

    def contribute(self: Any, round_index: int, values: Floats, *told: Mapping[str, Any] | None) -> Ring:
        left_out = without[(round_index - 1) % len(without)]
        if left_out == "masks":
            return _plain_contribution(self, values)
        module.draw = _no_noise if left_out == "noise" else draw
        return whole(self, round_index, values, *told)  # type: ignore[no-any-return]

    module.Contributor.contribute = contribute


def _arrange_coordinator(module: Any, without: tuple[str, ...]) -> None:
    whole = module.SecureRounds.sum

    def sum_of_round(self: Any, round_index: int, values: Floats) -> Any:
        if without[(round_index - 1) % len(without)] != "masks":
            return whole(self, round_index, values)
        return module.RoundSum(_plain_sum(self, round_index, values), self._plan.sites)

    module.SecureRounds.sum = sum_of_round


def _no_noise(_: float, length: int) -> Ring:
    return np.zeros(length, dtype=np.uint64)


def _plain_contribution(contributor: Any, values: Floats) -> Ring:
    """No digest of the input, no masks, no copy on disk."""
    contributor._analysis.check_input(values)
    ring: Ring = contributor._plan.layout.quantise(contributor._contribution.values(values))
    contributor._contribution.wait()
    return ring


def _plain_sum(rounds: Any, round_index: int, values: Floats) -> Ring:
    """One exchange, and a sum."""
    message = JobMessage(Kind.ROUND, {"job": rounds._job, "round": round_index}, values)
    plan, phase = rounds._plan, f"round {round_index}"
    replies = rounds._exchange.ask(dict.fromkeys(plan.sites, message), (Kind.MASKED,), rounds._asking, phase)
    rings = {site: reply.ring() for site, reply in replies.answers.items()}
    return add(rings, plan.sites, plan.layout.length)
