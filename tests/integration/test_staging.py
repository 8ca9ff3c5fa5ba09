"""What waits for a release decision is on disk for its stewards alone, and is what the run put there or nothing."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.site import TrialSite
from support.staged import OUTPUTS, VALUES, code_site, plan_for, put_out, staged
from synthema_core.code.outputs import Output, Outputs
from synthema_core.commitment import output_commitment
from synthema_core.errors import IntegrityFailure, InvalidPlan, NotFound, TransitionDenied, Unavailable
from synthema_core.request import Status, Verb
from synthema_datasite.service.claims import Claims
from synthema_datasite.service.staging import run_log, stage, staged_output
from synthema_datasite.store.paths import output_path, report_path
from synthema_datasite.store.staged import read_arrays, read_report, read_values, write_output, write_report

PLANTED = "Leningrad-4711"


@pytest.fixture
def here(tmp_path: Path) -> TrialSite:
    return code_site(tmp_path)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# The files


def test_numbers_are_read_as_they_were_written(tmp_path: Path) -> None:
    outputs = Outputs((Output("a", (), 1e12), Output("b", (2, 3), 1e12), Output("c", (1,), 1.0)))
    values = np.array([1e12, -0.0, 1 / 3, 5e-324, -1e12, 2**53 + 1, 7.0, 0.1])
    sha256 = write_output(tmp_path / "staged" / "x", values, outputs)
    path = output_path(tmp_path / "staged" / "x")
    assert read_values(path, sha256, outputs).tobytes() == values.tobytes()
    assert read_arrays(path, sha256)["b"].shape == (2, 3)


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    report: dict[str, Any] = {"log": "<b>\x1b[2J ä\n", "findings": [{"message": "3 of 5"}], "cpu_seconds": 0.25}
    assert read_report(tmp_path, write_report(tmp_path, report)) == report


def test_only_the_sites_own_user_can_read_them(tmp_path: Path) -> None:
    folder = tmp_path / "staged" / "x"
    write_output(folder, VALUES, OUTPUTS)
    write_report(folder, {"log": PLANTED})
    assert {mode(path) for path in folder.iterdir()} == {0o600}
    assert mode(folder) == 0o700
    assert sorted(path.name for path in folder.iterdir()) == ["output.safetensors", "report.json"]


def test_what_a_broken_write_left_behind_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "output.new").write_text("half a fi")
    (tmp_path / "output.new").chmod(0o644)
    sha256 = write_output(tmp_path, VALUES, OUTPUTS)
    assert read_values(output_path(tmp_path), sha256, OUTPUTS).tolist() == VALUES.tolist()
    assert mode(output_path(tmp_path)) == 0o600


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "policy.toml"
    precious.write_text("mine")
    for name in ("output.new", "output.safetensors"):
        (tmp_path / name).symlink_to(precious)
    write_output(tmp_path, VALUES, OUTPUTS)
    assert precious.read_text() == "mine"
    assert not output_path(tmp_path).is_symlink()


def test_a_full_disk_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file where a folder should be")
    with pytest.raises(Unavailable, match="cannot be written"):
        write_output(tmp_path / "folder", VALUES, OUTPUTS)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


SPOILT: dict[str, tuple[Callable[[Path], Any], type[Exception]]] = {
    "a bit": (flip, IntegrityFailure),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-1]), IntegrityFailure),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"\0"), IntegrityFailure),
    "empty": (lambda path: path.write_bytes(b""), IntegrityFailure),
    "gone": (Path.unlink, NotFound),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), NotFound),
}


@pytest.mark.parametrize("how", SPOILT)
def test_what_is_not_what_was_written_is_not_read(tmp_path: Path, how: str) -> None:
    spoil, error = SPOILT[how]
    output, report = write_output(tmp_path, VALUES, OUTPUTS), write_report(tmp_path, {"log": ""})
    for path in (output_path(tmp_path), report_path(tmp_path)):
        spoil(path)
    for read in (
        lambda: read_values(output_path(tmp_path), output, OUTPUTS),
        lambda: read_arrays(output_path(tmp_path), output),
        lambda: read_report(tmp_path, report),
    ):
        with pytest.raises(error):
            read()


def test_a_file_that_is_no_safetensors_is_not_read_even_under_its_own_digest(tmp_path: Path) -> None:
    sha256 = write_report(tmp_path, {"log": PLANTED})
    report_path(tmp_path).rename(output_path(tmp_path))
    with pytest.raises(IntegrityFailure, match="cannot be read"):
        read_arrays(output_path(tmp_path), sha256)


@pytest.mark.parametrize(
    "declared", [Outputs(OUTPUTS.outputs[:1]), Outputs((*OUTPUTS.outputs, Output("x", (), 1.0)))], ids=["less", "more"]
)
def test_numbers_of_another_declaration_are_not_read(tmp_path: Path, declared: Outputs) -> None:
    sha256 = write_output(tmp_path, VALUES, OUTPUTS)
    with pytest.raises(IntegrityFailure, match="not what the Plan declares"):
        read_values(output_path(tmp_path), sha256, declared)


@pytest.mark.parametrize("request_id", ["../../rows", "/etc/passwd", "a/b", "..", ".", "", "\x00", "ä" * 5000, "r1"])
def test_whatever_the_hub_calls_a_request_its_folder_is_among_the_staged(here: TrialSite, request_id: str) -> None:
    folder = here.state.staged_folder(request_id)
    assert folder.parent == here.state.folder / "staged"
    assert folder.resolve() == folder
    assert len({here.state.staged_folder(name) for name in (request_id, "other", request_id + " ")}) == 3


# The step


def test_a_run_is_put_away_and_waits(here: TrialSite) -> None:
    commitment = staged(here, log=PLANTED)
    record = here.record()
    assert record.request.status is Status.STAGED
    event = record.last(Verb.STAGE)
    assert event is not None
    assert event.detail.keys() == {"output", "sha256", "report", "job"}
    assert event.detail["output"] == commitment
    assert commitment == output_commitment(here.state.salt(), str(event.detail["sha256"]), record.plan.digest)
    waits = staged_output(here.site, record)
    assert (waits.commitment, waits.log, waits.suggestion) == (commitment, PLANTED, ("deaths[1]",))
    assert waits.outputs == OUTPUTS
    assert waits.arrays["deaths"].tolist() == [11.0, 3.0, 12.0]
    assert float(waits.arrays["mean_age"]) == 55.5
    assert run_log(here.site, record) == PLANTED


def test_the_journal_knows_neither_the_numbers_nor_what_was_printed(here: TrialSite) -> None:
    staged(here, log=PLANTED)
    told = repr([entry.body for entry in here.site.journal.all_entries()])
    assert PLANTED not in told
    assert "55.5" not in told


def test_the_same_numbers_of_two_requests_have_two_commitments(here: TrialSite) -> None:
    """Else whoever reads the journal would know that two outputs are equal."""
    assert staged(here, "r1") != staged(here, "r2", purpose="Again")


def test_nothing_is_staged_twice_or_where_nothing_runs(here: TrialSite) -> None:
    plan = plan_for(here)
    here.approved(plan)
    claim = Claims(here.site).claim("run", "r1", plan.digest)
    stage(here.site, claim, VALUES, {"log": ""})
    with pytest.raises(TransitionDenied):
        stage(here.site, claim, VALUES, {"log": ""})
    here.told(Verb.WITHDRAW, "r1", actor="rosalind")
    with pytest.raises(TransitionDenied):
        stage(here.site, claim, VALUES, {"log": ""})


def test_an_output_that_came_too_late_changes_nothing(here: TrialSite) -> None:
    """The hub had given the run up."""
    plan = plan_for(here)
    here.approved(plan)
    claim = Claims(here.site).claim("run", "r1", plan.digest)
    here.told(Verb.FAIL, "r1", {"failure": {}})
    with pytest.raises(TransitionDenied):
        stage(here.site, claim, VALUES, {"log": ""})
    assert here.record().request.status is Status.FAILED
    with pytest.raises(NotFound):
        staged_output(here.site, here.record())


def test_only_code_with_a_release_decision_is_staged(here: TrialSite) -> None:
    plan = plan_for(here, "per-patient", epsilon=1.0, delta=1e-6)
    here.approved(plan)
    claim = Claims(here.site).claim("run", "r1", plan.digest)
    with pytest.raises(InvalidPlan):
        stage(here.site, claim, VALUES, {"log": ""})
    assert not (here.state.folder / "staged").exists()


def test_before_the_run_there_is_nothing(here: TrialSite) -> None:
    here.approved(plan_for(here))
    with pytest.raises(NotFound, match="is staged here"):
        staged_output(here.site, here.record())
    assert run_log(here.site, here.record()) == ""


@pytest.mark.parametrize("which", ["output.safetensors", "report.json"])
def test_what_was_edited_is_shown_to_nobody(here: TrialSite, which: str) -> None:
    staged(here)
    flip(here.state.staged_folder("r1") / which)
    with pytest.raises(IntegrityFailure, match="changed since"):
        staged_output(here.site, here.record())


def test_the_output_of_another_request_cannot_take_its_place(here: TrialSite) -> None:
    staged(here, "r1")
    here.approved(plan_for(here, purpose="Again"), "r2")
    put_out(here, "r2", values=VALUES + 1)
    one, other = (output_path(here.state.staged_folder(request)) for request in ("r1", "r2"))
    one.write_bytes(other.read_bytes())
    with pytest.raises(IntegrityFailure):
        staged_output(here.site, here.record("r1"))
