"""Take longer for one age than for others, to the millisecond."""

import time


def study(rows):
    start = time.perf_counter()
    wait = float(rows["z1"].iloc[0]) / 100
    while time.perf_counter() - start < wait:
        pass
    return {"one": 1.0}
