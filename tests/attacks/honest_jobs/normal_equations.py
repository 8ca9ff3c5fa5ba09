"""Sums for a linear regression of follow-up on age and group over all sites."""

import numpy as np


def design(rows):
    groups = [(rows["group"] == code).to_numpy(dtype=float) for code in ("2", "3")]
    return np.column_stack([np.ones(len(rows)), rows["z1"] / 10, *groups])


def study(rows):
    known = rows.dropna(subset=["t2", "z1"])
    x, y = design(known), known["t2"].to_numpy() / 365.25
    return {"xtx": x.T @ x, "xty": x.T @ y, "patients": float(len(known))}
