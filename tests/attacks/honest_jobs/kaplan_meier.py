"""Numbers at risk and of deaths on a grid of half years: what a Kaplan-Meier curve is drawn from."""

import numpy as np

STEP, INTERVALS = 182.5, 16


def study(rows):
    days = rows["t2"].to_numpy()
    died = rows["d3"].to_numpy() == 1
    starts = STEP * np.arange(INTERVALS)
    at_risk = np.array([np.sum(days >= start) for start in starts])
    deaths = np.array([np.sum(died & (days >= start) & (days < start + STEP)) for start in starts])
    return {"at_risk": at_risk, "deaths": deaths}
