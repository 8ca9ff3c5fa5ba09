"""A model of diffprivlib at a real site and at the hub: charged before rows are read, looked at, never vouched for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.builders import SITES, plan
from support.hospitals import Hospital
from support.hub import OUTCOME, TrialHub
from support.hub_calls import summing, told
from support.models import (
    OUTPUTS,
    POLICY,
    REPORT,
    TYPED,
    VALUES,
    model,
    model_plan,
    model_site,
    put_out,
    waiting,
)
from support.pages import logged_in, text_of
from support.site import PASSPHRASE, STEWARD, TrialSite
from support.terminal import Terminal
from synthema_core.analyses.base import Sums
from synthema_core.errors import BudgetSpent, InvalidInput, Refused, RoundFailed, SynthemaError
from synthema_core.plan import Plan
from synthema_core.planning import make_plan
from synthema_core.privacy.mechanisms import PureDp
from synthema_core.release import Release
from synthema_core.request import Status, Verb
from synthema_core.review import Review
from synthema_datasite.service.claims import Claim, Claims, StagedFile
from synthema_datasite.service.clearing import Clearing
from synthema_datasite.service.code_runs import CodeRuns
from synthema_datasite.service.records import charges
from synthema_datasite.service.site import utc_now
from synthema_datasite.service.staging import staged_output
from synthema_datasite.store.paths import output_path
from synthema_datasite.store.staged import write_output
from synthema_datasite.worker.assembly import contributor_of
from synthema_datasite.worker.contributions import OfStaged
from synthema_datasite.worker.specification import specification

PATIENCE = 20.0
PLANTED = "Leningrad-4711"


@pytest.fixture
def here(tmp_path: Path) -> TrialSite:
    return model_site(tmp_path)


class FittedWorker:
    """Implements CodeWorker: a fit that ends as it is told to."""

    def __init__(self, ends: Callable[[], Any]) -> None:
        self._ends = ends

    def run(self) -> Any:
        return self._ends()

    def kill(self) -> None:
        """It has ended."""

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def runs(here: TrialSite) -> Iterator[Callable[[Callable[[], Any]], list[int]]]:
    """Begin the run of r1 with a fit that ends so; the number of Charges on disk when its worker was started."""
    made: list[CodeRuns] = []

    def begin(ends: Callable[[], Any]) -> list[int]:
        seen: list[int] = []

        def start(claim: Claim) -> FittedWorker:
            seen.append(len(charges(here.site.journal, claim.dataset.facts.name)))
            return FittedWorker(ends)

        in_step = threading.Event()
        in_step.set()
        made.append(CodeRuns(here.site, start, in_step))
        made[-1].begin("r1", "run-r1")
        made[-1]._line.submit(lambda: None).result(PATIENCE)
        return seen

    yield begin
    for one in made:
        one.close()


def set_policy(here: TrialSite, allowed: bool) -> None:
    policy = POLICY.format(allowed=str(allowed).lower(), stewards=1)
    (here.state.folder / "policy.toml").write_text(policy)


# The charge


def test_it_is_charged_before_its_worker_is_started(here: TrialSite, runs: Any) -> None:
    made = here.approved(model_plan(here, epsilon=0.75))
    assert charges(here.site.journal, "trial") == [], "an approval costs nothing"
    assert runs(lambda: (VALUES, REPORT)) == [1]
    (charge,) = charges(here.site.journal, "trial")
    assert charge.mechanism == PureDp(0.75)
    assert (charge.request, charge.job, charge.plan_digest) == ("r1", "run-r1", made.digest)
    assert here.record().request.status is Status.STAGED
    assert staged_output(here.site, here.record()).arrays["intercepts"].tolist() == [0.125]


@pytest.mark.parametrize("error", [RoundFailed("It ended early."), Refused("No.", rule="bounds"), ValueError(PLANTED)])
def test_a_fit_that_fails_gives_nothing_back(here: TrialSite, runs: Any, error: Exception) -> None:
    def fails() -> Any:
        raise error

    here.approved(model_plan(here))
    assert runs(fails) == [1]
    assert here.record().request.status is Status.FAILED
    assert len(charges(here.site.journal, "trial")) == 1
    assert PLANTED not in repr(here.record().last(Verb.FAIL))


def test_what_no_budget_has_room_for_is_not_fitted(here: TrialSite, runs: Any) -> None:
    for number in range(20):
        request = f"s{number}"
        asked = model_plan(here, requester=f"researcher-{number}", purpose=f"Question {number}")
        here.approved(asked, request)
        try:
            Claims(here.site).claim(f"run-{request}", request, asked.digest)
        except BudgetSpent:
            break
    else:
        pytest.fail("twenty times epsilon 1 fitted into a budget of 3")
    assert 1 <= len(charges(here.site.journal, "trial")) == number
    here.approved(model_plan(here, requester="another", purpose="Yet another"))
    assert runs(lambda: (VALUES, REPORT)) == []
    assert here.record().request.status is Status.APPROVED


def test_the_sum_of_what_was_cleared_is_not_charged_again(here: TrialSite) -> None:
    output = waiting(here)
    Clearing(here.site).clear("r1", STEWARD, PASSPHRASE, output=output, redacted=["coefficients[0,1]"])
    claim = Claims(here.site).claim_sum("sum-r1", "r1", here.record().plan.digest)
    assert (claim.left_out, claim.staged is not None) == (("coefficients[0,1]",), True)
    assert here.record().request.status is Status.SUMMING
    assert len(charges(here.site.journal, "trial")) == 1
    assert claim.spent is not None and claim.spent >= 1.0


# Off by default


def test_where_the_policy_does_not_say_so_it_is_sent_back_at_once(tmp_path: Path) -> None:
    here = TrialSite(tmp_path)
    record = here.submitted(model_plan(here))
    assert record.request.status is Status.REJECTED
    event = record.last(Verb.REVIEW)
    assert event is not None
    assert "rule 'diffprivlib'" in Review.from_dict(event.detail).reason
    assert charges(here.site.journal, "trial") == []


def test_switched_off_again_nothing_is_fitted_or_given(here: TrialSite, runs: Any) -> None:
    here.approved(model_plan(here))
    set_policy(here, False)
    assert runs(lambda: (VALUES, REPORT)) == []
    assert charges(here.site.journal, "trial") == []
    set_policy(here, True)
    output = put_out(here)
    set_policy(here, False)
    with pytest.raises(Refused) as refused:
        Clearing(here.site).clear("r1", STEWARD, PASSPHRASE, output=output)
    assert refused.value.rule == "diffprivlib"
    set_policy(here, True)
    Clearing(here.site).clear("r1", STEWARD, PASSPHRASE, output=output)
    set_policy(here, False)
    with pytest.raises(Refused) as refused:
        Claims(here.site).claim_sum("sum-r1", "r1", here.record().plan.digest)
    assert refused.value.rule == "diffprivlib"


def test_without_an_approval_or_a_release_decision_there_is_nothing(here: TrialSite, runs: Any) -> None:
    made = model_plan(here)
    here.submitted(made)
    assert here.record().request.status is Status.UNDER_REVIEW, "no policy approves it"
    assert runs(lambda: (VALUES, REPORT)) == []
    here.reviewing.approve("r1", STEWARD, PASSPHRASE)
    put_out(here)
    with pytest.raises(Refused):
        Claims(here.site).claim_sum("sum-r1", "r1", made.digest)
    Clearing(here.site).withhold("r1", STEWARD, PASSPHRASE, "Too few.", output=staged(here))
    assert here.record().request.status is Status.WITHHELD


def staged(here: TrialSite) -> str:
    return staged_output(here.site, here.record()).commitment


def test_parts_of_it_can_be_left_out_when_it_is_approved(here: TrialSite) -> None:
    here.submitted(model_plan(here))
    with pytest.raises(SynthemaError):
        here.reviewing.approve("r1", STEWARD, PASSPHRASE, without=["deaths"])
    with pytest.raises(InvalidInput, match="nothing"):
        here.reviewing.approve("r1", STEWARD, PASSPHRASE, without=["coefficients", "intercepts"])
    assert here.reviewing.approve("r1", STEWARD, PASSPHRASE, without=["intercepts"]).without == ("intercepts",)


# What its stewards are shown


def test_the_pages_say_that_it_is_no_guarantee(here: TrialSite) -> None:
    here.submitted(model_plan(here))
    browser = logged_in(here)
    said = text_of(browser.get("/requests/r1").text)
    for sentence in (
        "no guarantee",
        "coefficients[1,2]=1000",
        "every bound is the schema",
        "epsilon 1, nominal",
        "none that is formal",
    ):
        assert sentence in said, said
    assert 'href="#cost"' in browser.get("/requests/r1").text
    assert "Differentially private" not in said
    here.reviewing.approve("r1", STEWARD, PASSPHRASE)
    put_out(here)
    page = browser.get("/requests/r1/output")
    said = text_of(page.text)
    assert page.status_code == 200
    for sentence in ("no guarantee", "What the model put out at this site", "0.4375", "-0.25"):
        assert sentence in said, said
    assert "The model was fitted here." in text_of(browser.get("/requests/r1").text)
    assert browser.release("clear").status_code == 303
    assert here.record().request.status is Status.CLEARED
    assert "no guarantee" in text_of(browser.get("/ledger").text)


def test_the_command_line_says_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here, terminal = model_site(tmp_path), Terminal(tmp_path, capsys)
    here.clock.now = utc_now()
    here.submitted(model_plan(here))
    assert "no guarantee" in terminal.types("review", "show", "r1")
    here.reviewing.approve("r1", STEWARD, PASSPHRASE)
    put_out(here)
    said = terminal.types("review", "show", "r1")
    assert "What the model put out here" in said
    assert said.count("no guarantee") >= 2


# A real worker


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Hospital]:
    folder, policy = tmp_path_factory.mktemp("sites"), POLICY.format(allowed="true", stewards=1)
    return {
        name: Hospital.make(folder, name, count, seed, policy=policy)
        for seed, (name, count) in enumerate(zip(SITES, (45, 5, 5), strict=True), start=1)
    }


def planned(trio: dict[str, Hospital], name: str = "pca") -> Plan:
    cards = [hospital.site.cards()[0] for hospital in trio.values()]
    own = {"model": name, **TYPED[name]}
    clock = next(iter(trio.values())).site.clock
    return make_plan("diffprivlib", own, cards, requester="rosalind", purpose="A test.", now=clock(), epsilon=1.0)


def test_a_worker_fits_the_model_once_on_its_own_rows(trio: dict[str, Hospital]) -> None:
    made = planned(trio)
    worker = trio["alder"].worker(made, "run")
    try:
        values, report = worker.run()
    finally:
        worker.close()
    outputs = model("pca").outputs
    assert values is not None
    arrays = outputs.unflatten(values)
    assert (np.abs(values) <= outputs.bounds).all()
    assert np.allclose(arrays["covariance"], arrays["covariance"].T)
    assert (report["end"], report["log"], report["left_out_each"]) == ("returned", "", False)


def test_what_was_cleared_is_what_is_summed(trio: dict[str, Hospital], tmp_path: Path) -> None:
    made, site = planned(trio, "logistic-regression"), trio["alder"]
    sha256 = write_output(tmp_path / "staged", VALUES, OUTPUTS)
    staged_file = StagedFile(output_path(tmp_path / "staged"), sha256, "")
    claim = Claim("sum", "r1", made, site.record, ("intercepts",), staged_file)
    contributor = contributor_of(specification(claim, "alder", tmp_path / "no rows", b"salt", tmp_path, ""))
    assert isinstance(contributor._contribution, OfStaged)
    assert contributor._contribution.values(np.zeros(0)).tolist() == VALUES.tolist()
    assert contributor._mechanism is None
    assert contributor._left_out is not None and contributor._left_out.tolist() == [False, False, True]


# The hub


@pytest.fixture
def hub(tmp_path: Path) -> TrialHub:
    return TrialHub(tmp_path)


def hub_plan() -> Plan:
    return plan("diffprivlib", {"model": "logistic-regression", **TYPED["logistic-regression"]}, epsilon=1.0)


def test_the_hub_has_it_fitted_apart_and_summed_when_all_have_cleared(hub: TrialHub) -> None:
    request = hub.staged(hub_plan())
    assert hub.flower.runs == {}
    assert [verb for verb, _ in told(hub, "alder")] == ["submit", "start"]
    first, *others = SITES
    assert hub.clears(request, first, redacted=("coefficients[0,1]",)).status_code == 200
    for site in others:
        assert hub.clears(request, site).status_code == 200
    job = summing(hub, request)
    question = model("logistic-regression")
    result = question.advance(None, Sums({"coefficients": VALUES[:2], "intercepts": VALUES[2:]}, 3)).result
    outcome = {**OUTCOME, "result": result, "rounds": 1}
    assert hub.coordinator("POST", f"{job}/result", json=outcome).status_code == 200
    fact = hub.record(request).released
    assert fact is not None
    release = Release.from_dict(fact.detail["release"])  # type: ignore[arg-type]
    assert (release.guarantee.kind, release.guarantee.epsilon, release.guarantee.delta) == ("released", None, None)
    outputs: Any = release.result["outputs"]
    assert outputs[0]["values"][1] is None
    assert release.result["left_out"] == ["coefficients[0,1]"]
    assert release.cumulative == {}


def test_the_hub_says_what_runs(hub: TrialHub) -> None:
    request = hub.computing(hub_plan())
    assert hub.view(request)["progress"]["text"] == "The model is fitted at alder, birch, cedar."
