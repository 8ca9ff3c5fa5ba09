"""Invented patients of whom the truth is known: what their outcomes depend on, and by how much."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from synthema_core.analyses.base import Rows
from synthema_core.schemas import Schema

SCHEMA = Schema.from_dict(
    {
        "name": "registry",
        "patient_id": "id",
        "fields": [
            {"name": "id", "type": "identifier"},
            {"name": "age", "type": "number", "minimum": 0, "maximum": 100},
            {"name": "wbc", "type": "number", "minimum": 0, "maximum": 20},
            {"name": "arm", "type": "category", "codes": ["x", "y", "z"]},
            {"name": "male", "type": "boolean"},
            {"name": "remission", "type": "boolean"},
            {"name": "hb", "type": "number", "minimum": 0, "maximum": 20},
            {"name": "infections", "type": "integer", "minimum": 0, "maximum": 40},
            {"name": "years", "type": "number", "minimum": 0, "maximum": 10},
            {"name": "died", "type": "boolean"},
            {"name": "relapsed", "type": "boolean"},
        ],
    }
)
RIGHT = "age + wbc + arm + male"
QUESTIONS = {
    "gaussian": ("glm-private", {"formula": f"hb ~ {RIGHT}", "family": "gaussian"}),
    "binomial": ("glm-private", {"formula": f"remission ~ {RIGHT}", "family": "binomial"}),
    "poisson": ("glm-private", {"formula": f"infections ~ {RIGHT}", "family": "poisson"}),
    "hazards": ("cox-private", {"formula": RIGHT, "time": "years", "event": "died"}),
}
TRUTH = np.array([0.03, -0.1, 0.6, 0.0, 0.0])


def drawn(dice: Generator, patients: int) -> Rows:
    """Of `TRUTH` the outcomes' coefficients for `RIGHT`; half of it for infections."""
    age = np.clip(dice.normal(58, 14, patients), 0, 100)
    wbc = np.clip(dice.gamma(2, 2.5, patients), 0, 20)
    arm = dice.choice(["x", "y", "z"], patients, p=[0.4, 0.35, 0.25]).astype(object)
    line = TRUTH[0] * (age - 58) + TRUTH[1] * (wbc - 5) + TRUTH[2] * (arm == "y")
    dies, leaves = dice.weibull(0.8, patients) * 6 * np.exp(-line / 0.8), np.minimum(dice.uniform(1, 12, patients), 10)
    return {
        "age": age,
        "wbc": wbc,
        "arm": arm,
        "male": (dice.random(patients) < 0.55).astype(np.float64),
        "remission": (dice.random(patients) < 1 / (1 + np.exp(1 - line))).astype(np.float64),
        "hb": np.clip(11 + line + dice.normal(0, 1.5, patients), 0, 20),
        "years": np.minimum(dies, leaves),
        "died": (dies <= leaves).astype(np.float64),
        "relapsed": ((dies <= leaves) & (dice.random(patients) < 0.4)).astype(np.float64),
        "infections": np.minimum(dice.poisson(np.exp(-0.3 + 0.5 * line)), 40).astype(np.float64),
    }
