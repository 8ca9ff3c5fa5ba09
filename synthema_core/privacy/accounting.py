"""Rényi differential privacy: how costs add up, and what they mean as (epsilon, delta).

A mechanism's cost is its RDP at fixed ORDERS; costs add, also when each was chosen after seeing earlier answers, as
long as a filter stops before the ceiling (Feldman and Zrnic 2021, Theorem 3.1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

ORDERS: tuple[float, ...] = (
    *(1 + step / 10 for step in range(1, 100)),
    *(float(order) for order in range(11, 65)),
    *(float(order) for order in (72, 80, 96, 112, 128, 160, 192, 256, 320, 384, 512, 768, 1024, 2048)),
)
"""Fixed for good: a ledger's ceiling is written in them."""


def _loss_of_conversion(order: float, delta: float) -> float:
    """What converting RDP at `order` to (epsilon, delta) adds to the RDP (Canonne, Kamath, Steinke 2020, Prop. 12)."""
    return math.log1p(-1 / order) - (math.log(delta) + math.log(order)) / (order - 1)


def epsilon_of(rdp: Sequence[float], delta: float) -> float:
    """The smallest epsilon that RDP values at ORDERS imply at this delta; never below 0."""
    if not any(rdp):
        return 0.0
    candidates = (cost + _loss_of_conversion(order, delta) for order, cost in zip(ORDERS, rdp, strict=True))
    return max(0.0, min(candidates))


def ceiling(epsilon: float, delta: float) -> tuple[float, ...]:
    """The RDP at each of ORDERS that converts to exactly `epsilon` at `delta`; 0 where no cost would fit."""
    return tuple(max(0.0, epsilon - _loss_of_conversion(order, delta)) for order in ORDERS)
