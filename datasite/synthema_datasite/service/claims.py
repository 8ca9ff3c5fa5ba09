"""The claim: the moment at which an approval is consumed by a Job, with its charge, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from synthema_core import moments
from synthema_core.admission import DatasetFacts, admit
from synthema_core.analyses.base import Analysis
from synthema_core.charging import charge_of
from synthema_core.cohort import Cohort
from synthema_core.commitment import output_commitment
from synthema_core.errors import NotFound, Refused
from synthema_core.journal import Draft
from synthema_core.ledger import Charge
from synthema_core.plan import Plan
from synthema_core.ports import JournalReader, JournalWriter
from synthema_core.request import Event, Role, Status, Verb
from synthema_core.request_record import RequestRecord, record_event, request_record
from synthema_datasite.service.allowance import reserve
from synthema_datasite.service.approvals import check_clearances, check_reviews, left_out
from synthema_datasite.service.costs import spent_on
from synthema_datasite.service.earlier_cohorts import earlier_cohorts
from synthema_datasite.service.earlier_outputs import EarlierOutput, earlier_outputs
from synthema_datasite.service.records import JOBS, NOT_BEGUN, DatasetRecord, dataset_records
from synthema_datasite.service.site import Site
from synthema_datasite.store.paths import output_path


@dataclass(frozen=True, slots=True)
class StagedFile:
    """Where a cleared output is, what it must be, and the commitment that stewards have cleared."""

    path: Path
    sha256: str
    output: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A Job this site takes part in: what it may compute, on which rows.

    Parameters
    ----------
    left_out
        Outputs and cells of code that this site's stewards do not give.
    staged
        For the sum of code with a release decision: what this site adds.
    numbers_per_patient, earlier
        For the checks of what code puts out: the site's limit, and what went out before.
    spent
        Epsilon of all Charges to these patients, this Job's included; None for exact sums.
    earlier_cohorts
        Those of earlier exact answers, for an exact built-in analysis.
    """

    job: str
    request: str
    plan: Plan
    dataset: DatasetRecord
    left_out: tuple[str, ...] = ()
    staged: StagedFile | None = None
    numbers_per_patient: float = 0.0
    earlier: tuple[EarlierOutput, ...] = ()
    spent: float | None = None
    earlier_cohorts: tuple[Cohort, ...] = ()


def staged_file(site: Site, record: RequestRecord) -> StagedFile:
    """What this site has staged for the Request.

    Raises
    ------
    Refused
        If there is nothing, or its commitment is over something else.
    """
    staged = record.last(Verb.STAGE)
    if staged is None:
        raise Refused("Nothing of this request is staged here.", rule="clearance")
    sha256, output = str(staged.detail["sha256"]), str(staged.detail["output"])
    if output_commitment(site.state.salt(), sha256, record.plan.digest) != output:
        raise Refused("What is staged is not what its commitment says.", rule="clearance")
    return StagedFile(output_path(site.state.staged_folder(record.request.id)), sha256, output)


class Claims:
    """Turns an approval into a Claim, once."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def claim(self, job: str, request: str, plan_digest: str) -> Claim:
        """Check everything this site holds about the Request; charge its cost; record that its run has started.

        The order matters: the charge and the start are on disk before a row is touched, and neither is taken back.

        Raises
        ------
        Refused
            Naming the rule. Nothing is recorded then.
        """
        with self._site.journal.writing() as journal:
            record = self._found(journal, request, plan_digest, Status.APPROVED, "unused approval for this request")
            check_reviews(self._site, journal, record)
            self._check_new(journal, job)
            analysis = admit(record.plan, self._site.facts(journal))
            dataset = dataset_records(journal)[record.plan.participant(self._site.name).dataset]
            spent = self._charge(journal, record, analysis, job, dataset.facts)
            self._record(journal, record, job, Verb.START)
            earlier = earlier_outputs(self._site, journal, record)
            cohorts = earlier_cohorts(self._site, journal, record)
        limit = self._site.state.policy().for_dataset(dataset.facts.name).max_numbers_per_patient
        return Claim(job, request, record.plan, dataset, left_out(record), None, limit, earlier, spent, cohorts)

    def claim_sum(self, job: str, request: str, plan_digest: str) -> Claim:
        """Turn a release decision into a part in the sum, once. What is summed are the numbers that were looked at.

        Raises
        ------
        Refused
            Naming the rule. Nothing is recorded then.
        """
        with self._site.journal.writing() as journal:
            record = self._found(journal, request, plan_digest, Status.CLEARED, "release decision for this request")
            check_reviews(self._site, journal, record)
            staged = staged_file(self._site, record)
            check_clearances(self._site, journal, record, staged.output)
            self._check_new(journal, job)
            admit(record.plan, self._site.facts(journal))
            dataset = dataset_records(journal)[record.plan.participant(self._site.name).dataset]
            self._record(journal, record, job, Verb.SUM)
            spent = spent_on(self._site, journal, record.plan)
        return Claim(job, request, record.plan, dataset, left_out(record), staged, spent=spent)

    def withdraw(self, job: str) -> None:
        """Record that a claimed Job was not begun: its worker refused it, and nothing about the patients has left.

        What was charged stays charged.
        """
        with self._site.journal.writing() as journal:
            journal.append(Draft(JOBS + job, NOT_BEGUN, self._site.name, self._site.now(), {}))

    @staticmethod
    def _check_new(journal: JournalReader, job: str) -> None:
        if journal.entries(JOBS + job):
            raise Refused("This job has run here already.", "Submit the request again.", rule="job-id")

    def _record(self, journal: JournalWriter, record: RequestRecord, job: str, verb: Verb) -> None:
        now = self._site.now()
        journal.append(Draft(JOBS + job, "claim", self._site.name, now, {"request": record.request.id}))
        record_event(journal, record.request, Event(verb, self._site.name, Role.SITE, now, detail={"job": job}))

    def _found(
        self, journal: JournalReader, request: str, plan_digest: str, status: Status, what: str
    ) -> RequestRecord:
        try:
            record = request_record(journal, request, self._site.name)
        except NotFound:
            raise Refused("This site knows no such request.", rule="approval") from None
        if record.plan.digest != plan_digest:
            raise Refused("This is not the Plan that this site was asked to approve.", rule="plan-digest")
        if record.request.status is not status:
            raise Refused(f"This site holds no {what}.", rule="approval")
        if moments.read(record.request.expires_at) <= self._site.clock():
            raise Refused("This site's approval has expired.", "Submit the request again.", rule="expiry")
        return record

    def _charge(
        self, journal: JournalWriter, record: RequestRecord, analysis: Analysis, job: str, dataset: DatasetFacts
    ) -> float | None:
        """The epsilon of everything that these patients have been charged; None for an exact Plan, which costs none."""
        mechanism = charge_of(record.plan, analysis)
        if mechanism is None:
            return None
        charge = Charge.of(
            mechanism, at=self._site.now(), request=record.request.id, job=job, plan=record.plan, dataset=dataset.name
        )
        return reserve(self._site, journal, charge)
