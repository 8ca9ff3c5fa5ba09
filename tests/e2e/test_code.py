"""Researchers' code, from the cell to the Release, through real processes: each shape, and what a hostile one gets."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from support.running import Running, wait_for
from synthema_core.request import Status, Verb
from synthema_kernel.cell import read_cell
from synthema_kernel.line import Line

pytestmark = [pytest.mark.federation, pytest.mark.timeout(300)]
SECRET = "Leningrad-4711"
AGES = '''
def patient(rows):
    """Old enough to matter, and whether they relapsed."""
    return {"age": rows["z1"].iloc[0], "relapsed": rows["d2"].iloc[0], "one": 1}
'''
DEATHS = """
import numpy as np

def study(rows):
    grid = np.arange(1, 5) * 365
    return {
        "deaths": [int(((rows["t1"] <= day) & (rows["d1"] == 1)).sum()) for day in grid],
        "days": rows["t1"].sum(),
    }
"""


def send(federation: Running, options: str, source: str) -> str:
    """A `%%remote` cell, submitted; the Request's id."""
    session = federation.session()
    question = read_cell(Line.read(f"remote --dataset bmt {options}"), dedent(source), Path())
    return str(session.submit(session.plan(question))["id"])


def values(release: dict[str, Any]) -> dict[str, list[float | None]]:
    return {output["name"]: output["values"] for output in release["result"]["outputs"]}


def test_code_for_each_patient_comes_back_with_noise_around_the_truth(federation: Running) -> None:
    request = send(
        federation,
        '--shape per-patient --columns z1,d2 --returns "age=80, relapsed=1, one=1" --cpu-seconds 0.05 '
        '--epsilon 1 --name ages --purpose "Mean age at transplant"',
        AGES,
    )
    release = federation.released(request)
    assert release["guarantee"]["kind"] == "private" and release["guarantee"]["epsilon"] == 1
    rows = federation.pooled("bmt")
    truth = {"age": rows["z1"].sum(), "relapsed": rows["d2"].sum(), "one": len(rows)}
    for output in release["result"]["outputs"]:
        noise = output["noise_standard_deviation"]
        assert 0 < abs(output["values"][0] - truth[output["name"]]) < 6 * noise
    assert release["seconds"] > 10, "the answer leaves at the moment that the Plan fixes"


def test_code_on_all_rows_waits_for_every_steward_and_sums_what_they_saw(federation: Running) -> None:
    request = send(
        federation,
        '--shape aggregate --columns t1,d1 --returns "deaths[4]=1000, days=1e6" --counts deaths '
        '--name deaths --purpose "Deaths by year"',
        DEATHS,
    )
    federation.approve(request)
    wait_for(lambda: federation.status(request) == Status.STAGED, "every site had staged its output")
    commitments = {site: _staged(federation, site, request) for site in federation.sites}
    told = json.dumps(federation.session().client.request(request)["sites"])
    for site in federation.sites:
        days = int(federation.pooled("bmt").groupby("site")["t1"].sum()[site])
        assert str(days) not in told, "what waits at a site is told to nobody"
    first, *others = federation.sites
    federation.review(first, "release", request, "--output", commitments[first], "--redact", "deaths[3]")
    assert federation.status(request) == Status.STAGED, "one steward's word is not enough"
    for site in others:
        federation.review(site, "release", request, "--output", commitments[site])
    view = federation.wait_until_ended(request)
    assert view["status"] == Status.RELEASED, view["failure"]
    release = federation.session().client.release(request).to_dict()
    rows = federation.pooled("bmt")
    expected = [int(((rows["t1"] <= 365 * year) & (rows["d1"] == 1)).sum()) for year in (1, 2, 3, 4)]
    found = values(release)
    assert found["deaths"] == [*expected[:3], None] and release["result"]["left_out"] == ["deaths[3]"]
    assert found["days"] == [pytest.approx(float(rows["t1"].sum()))]
    assert release["guarantee"]["kind"] == "released" and release["guarantee"]["epsilon"] is None


def test_one_steward_who_withholds_ends_it_and_nothing_is_summed(federation: Running) -> None:
    request = send(
        federation,
        '--shape aggregate --columns t1,d1 --returns "deaths[4]=1000, days=1e6" --counts deaths '
        '--name deaths-withheld --purpose "Deaths by year"',
        DEATHS,
    )
    federation.approve(request)
    wait_for(lambda: federation.status(request) == Status.STAGED, "every site had staged its output")
    site = federation.sites[1]
    commitment = _staged(federation, site, request)
    federation.review(site, "withhold", request, "--output", commitment, "--reason", "Too few deaths in year four")
    assert federation.wait_until_ended(request)["status"] == Status.WITHHELD
    for other in federation.sites:
        wait_for(lambda o=other: federation.record(o, request).request.status is Status.WITHHELD, f"{other} knew")


def test_what_goes_wrong_on_rows_is_told_by_its_kind_alone(federation: Running) -> None:
    """The code raises with a row's value in its text, on real rows only; the text stays at the site."""
    source = f"""
    def study(rows):
        if len(rows) != 60 and rows["z1"].notna().all():
            raise ValueError(f"{SECRET[:9]}{{'-'}}{SECRET[10:]} {{rows['z1'].iloc[0]}}")
        return {{"n": len(rows)}}
    """
    request = send(
        federation,
        '--shape aggregate --columns z1 --returns "n=1000" --name raises --purpose "A test of failures"',
        source,
    )
    federation.approve(request)
    view = federation.wait_until_ended(request)
    assert view["status"] == Status.FAILED
    assert "raised an error" in view["failure"]["message"]
    assert SECRET not in json.dumps(view)
    kept = [
        path.read_text()
        for site in federation.sites
        for path in (federation.state(site) / "staged").glob("*/report.json")
        if SECRET in path.read_text()
    ]
    assert kept, "a site's stewards can read what happened"


def test_an_approval_of_code_can_be_taken_back_before_it_runs(federation: Running) -> None:
    request = send(
        federation,
        '--shape per-patient --columns z1 --returns "age=80" --cpu-seconds 0.05 --epsilon 0.2 --name revoked '
        '--purpose "A test of revoking"',
        "def patient(rows):\n    return {'age': rows['z1'].iloc[0]}\n",
    )
    site = federation.sites[0]
    federation.review(site, "approve", request)
    federation.review(site, "revoke", request)
    assert federation.wait_until_ended(request)["status"] == Status.REVOKED


def _staged(federation: Running, site: str, request: str) -> str:
    event = federation.record(site, request).last(Verb.STAGE)
    assert event is not None
    return str(event.detail["output"])
