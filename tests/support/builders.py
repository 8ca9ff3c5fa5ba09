"""Valid nouns to start a test from; each takes changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core import moments
from synthema_core.card import Card
from synthema_core.identity import public_key
from synthema_core.plan import Plan
from synthema_core.planning import make_plan
from synthema_core.schemas import Schema

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SITES = ("alder", "birch", "cedar")
KEYS = {site: Ed25519PrivateKey.from_private_bytes(site.encode().ljust(32, b"0")) for site in (*SITES, "douglas")}
ENGINE = "e" * 64

SCHEMA = Schema.from_dict(
    {
        "name": "trial",
        "title": "A small trial",
        "patient_id": "id",
        "fields": [
            {"name": "id", "type": "identifier"},
            {"name": "days", "type": "number", "unit": "days", "minimum": 0, "maximum": 1000},
            {"name": "died", "type": "boolean"},
            {"name": "age", "type": "number", "unit": "years", "minimum": 0, "maximum": 100},
            {"name": "arm", "type": "category", "codes": {"a": "Arm A", "b": "Arm B"}},
        ],
    }
)


def days_later(days: float) -> datetime:
    return NOW + timedelta(days=days)


def card(site: str, *, schema: Schema = SCHEMA, policy: dict[str, Any] | None = None, **changes: Any) -> Card:
    whole = {
        "site": site,
        "identity": public_key(KEYS[site]),
        "dataset": "trial",
        "version": 1,
        "schema": schema,
        "commitment": (site.encode().hex() + "c" * 64)[:64],
        "policy": {"min_patients": 5, "min_sites": 3, "exact": True, **(policy or {})},
        "engine": ENGINE,
    }
    return Card(**{**whole, **changes}).signed(KEYS[site])


def plan(analysis: str = "kaplan-meier", options: dict[str, str] | None = None, **changes: Any) -> Plan:
    """A Plan to three sites; `changes` replace its parts afterwards."""
    defaults = {
        "kaplan-meier": {"time": "days", "event": "died", "step": "100"},
        "cox": {"time": "days", "event": "died", "covariates": "age"},
        "histogram": {"column": "arm"},
        "mean": {"column": "age"},
        "histogram-exact": {"column": "arm"},
        "summary": {"columns": "age,died"},
        "crosstab": {"rows": "arm", "columns": "died"},
        "glm": {"formula": "died ~ age", "family": "binomial"},
    }
    made = make_plan(
        analysis,
        defaults[analysis] if options is None else options,
        [card(site) for site in changes.pop("sites", SITES)],
        requester="rosalind",
        purpose="Does arm B live longer?",
        now=NOW,
        epsilon=changes.pop("epsilon", None),
    )
    return replace(made, **changes) if changes else made


def at(days: float = 0.0) -> str:
    return moments.spell(days_later(days))


class Ticking:
    """A clock that a test sets."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now
