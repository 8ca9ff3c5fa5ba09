"""Measure analyses as a researcher waits for them: `python bench/analyses.py [--write]`.

Three hospitals' processes with 500 invented patients each; the time from the last approval to the Release, and what the
same analysis of the pooled rows takes in one process with lifelines, statsmodels or pandas.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import yaml

from bench import environment
from bench.federation import SITES
from bench.figures import Row, as_text, circumstances, replace_figures, rounded, verdict
from bench.running import processes, say
from synthema_core.cli.hub_login import token_by_login_form
from synthema_core.cli.local_federation import RESEARCHER, LocalFederation, Ports
from synthema_core.cli.processes import run_verb
from synthema_core.errors import RoundFailed
from synthema_core.planning import make_plan, select_cards
from synthema_kernel.client import FederationClient

_DOCUMENT, _LOGS = Path(__file__).parents[1] / "docs" / "benchmarks.md", Path("artifacts/bench")
_DATASET, _PATIENTS, _REPEATS = "aml", 500, 3
_NUMBERS, _GROUPS = [f"x{number}" for number in range(1, 13)], [f"g{number}" for number in range(1, 7)]
_POLICY = f"""\
[datasets.{_DATASET}]
min_patients = 5
exact = true
max_numbers_per_patient = 1000.0
"""
_HEADINGS: Row = ("analysis", "last approval to Release", "Rounds", "target", "pooled, in one process")


@dataclass(frozen=True, slots=True)
class Asked:
    """An analysis with a target in seconds, and the same of the pooled rows."""

    title: str
    analysis: str
    options: Mapping[str, str]
    target: float
    pooled: Callable[[pd.DataFrame], object]


def _cox(rows: pd.DataFrame) -> object:
    from lifelines import CoxPHFitter

    return CoxPHFitter().fit(rows[["days", "died", "site", *_NUMBERS]], "days", "died", strata=["site"])


def _glm(rows: pd.DataFrame) -> object:
    import statsmodels.api as sm

    design = pd.concat([rows[_NUMBERS], pd.get_dummies(rows["site"], dtype=float)], axis=1)
    return sm.GLM(rows["died"], design, family=sm.families.Binomial()).fit()


def _table_1(rows: pd.DataFrame) -> object:
    grouped = rows.groupby("arm")
    return grouped[_NUMBERS].describe(), [pd.crosstab(rows[name], rows["arm"]) for name in _GROUPS]


def _survival(rows: pd.DataFrame) -> object:
    from lifelines import KaplanMeierFitter

    return [KaplanMeierFitter().fit(own["days"], own["died"]) for _, own in rows.groupby("arm")]


_TIMES = {"time": "days", "event": "died"}
_QUESTIONS: Sequence[Asked] = (
    Asked("Cox, 12 covariates", "cox", {**_TIMES, "covariates": ",".join(_NUMBERS)}, 8.0, _cox),
    Asked(
        "Table 1, 12 numbers and 8 categories by 2 groups",
        "summary",
        {"columns": ",".join([*_NUMBERS, *_GROUPS, "died", "sex"]), "by": "arm"},
        4.0,
        _table_1,
    ),
    Asked(
        "Kaplan-Meier, 2 groups, 30-day steps", "kaplan-meier", {**_TIMES, "group": "arm", "step": "30"}, 3.0, _survival
    ),
    Asked(
        "logistic regression, 12 covariates, an intercept a site",
        "glm",
        {"formula": f"died ~ {' + '.join(_NUMBERS)}", "family": "binomial"},
        8.0,
        _glm,
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"put the figures into docs/{_DOCUMENT.name}")
    arguments = parser.parse_args()
    if not environment.is_own():
        environment.enter()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    about = circumstances(os.getloadavg()[0])
    with environment.own_folder(_LOGS) as folder:
        table = _measured(folder)
    say(f"\n{as_text(table)}\n\n{about}\n")
    if arguments.write:
        replace_figures(_DOCUMENT, table, about, "analyses")


def _measured(folder: Path) -> list[Row]:
    federation = LocalFederation(folder / "federation", Ports.free(), lambda _: None, _write_tables)
    rows = pd.concat([_patients(site).assign(site=site) for site in SITES], ignore_index=True)
    with processes(folder / "logs") as children:
        say(f"Starting a hub and {len(SITES)} datasites with {_PATIENTS} patients each.")
        federation.start(SITES, children)
        with closing(_Researcher(federation)) as researcher:
            found = [_HEADINGS, *(_row(researcher, asked, rows) for asked in _QUESTIONS)]
        federation.stop(children)
    return found


def _row(researcher: _Researcher, asked: Asked, rows: pd.DataFrame) -> Row:
    say(f"{asked.title}: {_REPEATS} times.")
    runs = [researcher.ask(asked, attempt) for attempt in range(_REPEATS)]
    seconds, rounds = median(run[0] for run in runs), runs[0][1]
    alone = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        asked.pooled(rows)
        alone.append(time.perf_counter() - began)
    judged = verdict(seconds, asked.target)
    measured = f"{rounded(seconds)} s ({', '.join(rounded(run[0]) for run in runs)}) {judged}"
    return (asked.title, measured, str(rounds), f"at most {asked.target:g} s", f"{rounded(median(alone))} s")


class _Researcher:
    """Asks; and approves as every site's steward does."""

    def __init__(self, federation: LocalFederation) -> None:
        self._federation = federation
        person = next(person for person in federation.people if person.name == RESEARCHER)
        token = token_by_login_form(federation.url, person.name, person.password)
        self._client = FederationClient(f"{federation.url}/services/federation", token)

    def close(self) -> None:
        self._client.close()

    def ask(self, asked: Asked, attempt: int) -> tuple[float, int]:
        """Seconds from the last approval to the Release, and its Rounds; each attempt is a question of its own."""
        options = {**asked.options, "confidence": f"0.9{attempt + 1}"}
        plan = make_plan(
            asked.analysis,
            options,
            select_cards(self._client.cards(), _DATASET),
            requester=self._client.me(),
            purpose="To measure how long it takes",
            now=datetime.now(UTC),
        )
        request = str(self._client.submit(plan, f"{asked.analysis}-{attempt}")["id"])
        with ThreadPoolExecutor(len(SITES)) as pool:
            list(pool.map(lambda site: self._approve(site, request), SITES))
        approved = time.monotonic()
        view = [*self._client.events(request)][-1]
        seconds = time.monotonic() - approved
        if view["status"] != "released":
            raise RoundFailed(f"{asked.title} ended as '{view['status']}': {view['failure']}.")
        return seconds, self._client.release(request).rounds

    def _approve(self, site: str, request: str) -> None:
        state = ("--state", str(self._federation.site_state(site)))
        owner = next(person for person in self._federation.people if person.site == site)
        by = ("--steward", owner.name, "--passphrase-file", str(self._federation.passphrase_file(owner)))
        run_verb("datasite", "review", "list", "--wait", "30", *state)
        run_verb("datasite", "review", "approve", request, *by, *state)


def _patients(site: str) -> pd.DataFrame:
    """Invented, always the same: times that depend on some covariates, and a tenth of one number missing."""
    dice = np.random.default_rng(sum(site.encode()))
    numbers = {name: np.round(dice.normal(50, 10, _PATIENTS).clip(0, 100), 2) for name in _NUMBERS}
    hazard = np.exp(0.03 * (numbers["x1"] - 50) - 0.02 * (numbers["x2"] - 50)) / 600
    event, end = dice.exponential(1 / hazard), dice.uniform(200, 1800, _PATIENTS)
    return pd.DataFrame(
        {
            "id": [f"{site}-{number}" for number in range(_PATIENTS)],
            "days": np.ceil(np.minimum(event, end)).clip(1, 2000),
            "died": (event <= end).astype(int),
            "arm": dice.choice(["a", "b"], _PATIENTS),
            "sex": dice.choice(["f", "m"], _PATIENTS),
            **numbers,
            **{name: dice.choice(["low", "middle", "high"], _PATIENTS, p=[0.3, 0.4, 0.3]) for name in _GROUPS},
        }
    )


def _schema() -> dict[str, Any]:
    codes = {"arm": ["a", "b"], "sex": ["f", "m"], **{name: ["low", "middle", "high"] for name in _GROUPS}}
    return {
        "name": _DATASET,
        "title": "Invented patients with leukaemia, to measure with",
        "patient_id": "id",
        "fields": [
            {"name": "id", "type": "identifier"},
            {"name": "days", "type": "integer", "unit": "days", "minimum": 0, "maximum": 2000},
            {"name": "died", "type": "boolean"},
            *({"name": name, "type": "category", "codes": levels} for name, levels in codes.items()),
            *({"name": name, "type": "number", "minimum": 0, "maximum": 100} for name in _NUMBERS),
        ],
    }


def _write_tables(folder: Path, sites: Sequence[str]) -> None:
    """What the sites take in, as `LocalFederation` asks for it."""
    folder.mkdir(parents=True)
    (folder / "policy.toml").write_text(_POLICY)
    (folder / f"{_DATASET}.yaml").write_text(yaml.safe_dump(_schema()))
    for site in sites:
        (folder / site).mkdir()
        (folder / site / "about.json").write_text(json.dumps({"title": site.title()}))
        _patients(site).to_csv(folder / site / f"{_DATASET}.csv", index=False, quoting=csv.QUOTE_MINIMAL)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("Stopped; every process has ended.") from None
