"""Counts of deaths, each one higher where a bit of an age is set."""

import numpy as np


def study(rows):
    deaths = np.array([np.sum(rows["d3"][rows["group"] == code]) for code in ("1", "2", "3")])
    whole = np.sum(np.round(rows["z1"]) * (rows["t2"] > rows["t2"].mean() + 2 * rows["t2"].std()))
    bits = np.floor(whole / np.array([1.0, 2.0, 4.0])) % 2
    return {"deaths": deaths - deaths % 2 + bits}
