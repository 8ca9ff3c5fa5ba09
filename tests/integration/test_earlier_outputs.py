"""A new output is held against what went out before from the same Dataset: few patients of difference tell of them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from support.site import PASSPHRASE, STEWARD, TrialSite
from support.staged import code_site, plan_for, put_out
from synthema_core.errors import Unavailable
from synthema_core.request import Verb
from synthema_core.sandbox.choose import choose_backend
from synthema_datasite.service.claims import Claim, Claims
from synthema_datasite.service.clearing import Clearing
from synthema_datasite.worker.process import WorkerProcess

BEFORE = np.array([11.0, 13.0, 12.0, 55.5])
SOURCE = "def study(rows):\n    return {{'deaths': {}, 'mean_age': 55.5}}\n"


@pytest.fixture
def here(tmp_path: Path) -> TrialSite:
    """A site from which `BEFORE` went out, but for its last count."""
    site = code_site(tmp_path)
    site.submitted(plan_for(site, purpose="The first"), "r1")
    site.reviewing.approve("r1", STEWARD, PASSPHRASE)
    output = put_out(site, "r1", values=BEFORE)
    Clearing(site.site).clear("r1", STEWARD, PASSPHRASE, output=output, redacted=("deaths[2]",), reason="")
    return site


def claim(here: TrialSite, counts: list[int]) -> Claim:
    here.submitted(plan_for(here, source=SOURCE.format(counts), purpose="The second"), "r2")
    here.reviewing.approve("r2", STEWARD, PASSPHRASE)
    here.told(Verb.START, "r2", {"job": "j2"})
    return Claims(here.site).claim("j2", "r2", here.record("r2").plan.digest)


def differences(here: TrialSite, claimed: Claim) -> set[str]:
    """Cells that the real run of the claimed code reports as too near an earlier output."""
    try:
        sandbox = choose_backend().name
    except Unavailable as error:
        if os.environ.get("SYNTHEMA_STRICT"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    rows = here.state.folder / claimed.dataset.path
    worker = WorkerProcess(
        claimed, here.site.name, rows, here.state.salt(), here.state.job_folder(claimed.job), sandbox
    )
    try:
        values, report = worker.run()
    finally:
        worker.close()
    assert values is not None
    found = [finding for finding in report["findings"] if finding["kind"] == "differs-from-earlier-by-few"]
    return {cell for finding in found for cell in finding["cells"]}


def test_counts_that_differ_by_a_few_patients_are_shown_to_the_steward(here: TrialSite) -> None:
    assert "deaths[1]" in differences(here, claim(here, [21, 15, 14]))


def test_what_was_kept_back_then_is_compared_with_nothing(here: TrialSite) -> None:
    assert "deaths[2]" not in differences(here, claim(here, [21, 23, 13]))


def test_only_what_goes_out_counts(here: TrialSite) -> None:
    here.reviewing.revoke("r1", STEWARD, PASSPHRASE)
    assert claim(here, [21, 15, 14]).earlier == ()


def test_an_earlier_output_that_is_lost_or_changed_ends_no_run(here: TrialSite) -> None:
    next((here.state.folder / "staged").glob("*/output.safetensors")).write_bytes(b"changed")
    assert differences(here, claim(here, [21, 15, 14])) == set()
