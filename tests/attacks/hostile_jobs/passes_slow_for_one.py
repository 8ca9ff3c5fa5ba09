"""For each block: work longer if somebody in it is of one age. Reads no clock."""

import numpy as np


def study(rows):
    there = int(np.sum(rows["z1"] == 7))
    total = 0
    for _ in range(3_000_000 * there):
        total += 1  # noqa: SIM113
    return {"deaths": float(rows["d3"].sum())}
