"""A real datasite in a temporary folder, as far as one process goes: state, Journal, a Dataset, a steward, requests."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import yaml

from support.builders import KEYS, NOW, SCHEMA, SITES, Ticking, at
from synthema_core.card import Card
from synthema_core.identity import public_key
from synthema_core.plan import Plan
from synthema_core.planning import make_plan
from synthema_core.request import Verb
from synthema_core.request_record import RequestRecord, request_record
from synthema_core.schemas import Schema
from synthema_datasite.ingest import ingest
from synthema_datasite.service.intake import Fact, Intake
from synthema_datasite.service.reviewing import Reviewing
from synthema_datasite.service.site import Site
from synthema_datasite.service.stewards import add_steward
from synthema_datasite.state import SiteState

STEWARD, PASSPHRASE = "maria", "correct horse battery"
POLICY = """
[defaults]
min_patients = 5
min_sites = 3
exact = true
max_numbers_per_patient = 50.0
epsilon_per_request = 1.5

[datasets.trial.budget]
epsilon = 3.0
delta = 1e-6
"""
HUB_KEY = KEYS["douglas"]


def write_schema(folder: Path, schema: Schema = SCHEMA) -> Path:
    path = folder / f"{schema.name}.yaml"
    path.write_text(yaml.safe_dump(schema.to_dict()))
    return path


def write_patients(path: Path, patients: int, seed: int = 1) -> Path:
    """Patients of the small trial, invented."""
    dice = random.Random(seed)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "days", "died", "age", "arm"])
        for number in range(patients):
            days, died = round(dice.uniform(1, 990), 1), int(dice.random() < 0.6)
            table.writerow([f"p{seed}-{number}", days, died, round(dice.uniform(20, 80), 1), dice.choice("ab")])
    return path


class TrialSite:
    """The site `alder`, and what the hub would tell it."""

    def __init__(self, folder: Path, *, policy: str = POLICY, patients: int = 40) -> None:
        self.clock = Ticking(NOW)
        self.state = SiteState.initialise(folder / "alder", "alder", "Alder Hospital", policy)
        self.site = Site.open(self.state, self.clock)
        add_steward(self.site, STEWARD, PASSPHRASE)
        table = write_patients(folder / "trial.csv", patients)
        ingest(self.state, self.site.journal, table, "trial", write_schema(folder), "engineer", at())
        self.begun: list[tuple[str, str]] = []
        self.intake = Intake(self.site, public_key(HUB_KEY), lambda request, job: self.begun.append((request, job)))
        self.reviewing = Reviewing(self.site)

    def plan(self, analysis: str = "kaplan-meier", options: dict[str, str] | None = None, **more: Any) -> Plan:
        usual = {
            "kaplan-meier": {"time": "days", "event": "died", "step": "100"},
            "cox": {"time": "days", "event": "died", "covariates": "age"},
            "histogram": {"column": "arm"},
        }
        return make_plan(
            analysis,
            usual[analysis] if options is None else options,
            [self._card(), *(self._other_card(site) for site in SITES[1:])],
            requester=more.pop("requester", "rosalind"),
            purpose=more.pop("purpose", "Does arm B live longer?"),
            now=self.clock(),
            **more,
        )

    def _card(self) -> Card:
        return self.site.cards()[0]

    def _other_card(self, name: str) -> Card:
        mine = self._card()
        return Card(
            site=name,
            identity=public_key(KEYS[name]),
            dataset="trial",
            version=1,
            schema=mine.schema,
            commitment=(name.encode().hex() + "c" * 64)[:64],
            policy=mine.policy,
            engine=mine.engine,
        ).signed(KEYS[name])

    def told(self, verb: Verb, request: str, detail: dict[str, Any] | None = None, **more: str) -> None:
        """The hub tells a fact."""
        self.intake.take(Fact(request, verb, more.get("actor", "hub"), more.get("site", ""), detail or {}))

    def submitted(self, plan: Plan, request: str = "r1") -> RequestRecord:
        detail = {"plan": plan.to_dict(), "plan_digest": plan.digest, "name": "km"}
        self.told(Verb.SUBMIT, request, detail, actor=plan.requester)
        return self.record(request)

    def record(self, request: str = "r1") -> RequestRecord:
        return request_record(self.site.journal, request, "alder")

    def approved(self, plan: Plan, request: str = "r1") -> Plan:
        self.submitted(plan, request)
        self.reviewing.approve(request, STEWARD, PASSPHRASE)
        return plan
