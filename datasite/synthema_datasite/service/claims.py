"""The claim: the moment at which an approval is consumed by a Job, with its charge, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from synthema_core import moments
from synthema_core.admission import DatasetFacts, admit
from synthema_core.analyses.base import Analysis
from synthema_core.charging import mechanism_of
from synthema_core.errors import IntegrityFailure, NotFound, Refused
from synthema_core.identity import public_key
from synthema_core.journal import Draft
from synthema_core.ledger import Charge, Standing
from synthema_core.plan import Plan
from synthema_core.ports import JournalReader, JournalWriter
from synthema_core.request import Event, Role, Status, Verb
from synthema_core.request_record import RequestRecord, record_event, request_record
from synthema_core.review import Verdict
from synthema_datasite.service.records import BUDGETS, DatasetRecord, charges, dataset_records, review_of, stewards
from synthema_datasite.service.site import Site

_JOBS = "job/"


@dataclass(frozen=True, slots=True)
class Claim:
    """A Job this site takes part in: what it may compute, on which rows."""

    job: str
    request: str
    plan: Plan
    dataset: DatasetRecord


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
            record = self._approved(journal, request, plan_digest)
            self._check_review(journal, record)
            if journal.entries(_JOBS + job):
                raise Refused("This job has run here already.", "Submit the request again.", rule="job-id")
            analysis = admit(record.plan, self._site.facts(journal))
            dataset = dataset_records(journal)[record.plan.participant(self._site.name).dataset]
            self._charge(journal, record, analysis, job, dataset.facts)
            now = self._site.now()
            journal.append(Draft(_JOBS + job, "claim", self._site.name, now, {"request": request}))
            start = Event(Verb.START, self._site.name, Role.SITE, now, detail={"job": job})
            record_event(journal, record.request, start)
        return Claim(job, request, record.plan, dataset)

    def _approved(self, journal: JournalReader, request: str, plan_digest: str) -> RequestRecord:
        try:
            record = request_record(journal, request, self._site.name)
        except NotFound:
            raise Refused("This site knows no such request.", rule="approval") from None
        if record.plan.digest != plan_digest:
            raise Refused("This is not the Plan that this site was asked to approve.", rule="plan-digest")
        if record.request.status is not Status.APPROVED:
            raise Refused("This site holds no unused approval for this request.", rule="approval")
        if moments.read(record.request.expires_at) <= self._site.clock():
            raise Refused("This site's approval has expired.", "Submit the request again.", rule="expiry")
        return record

    def _check_review(self, journal: JournalReader, record: RequestRecord) -> None:
        """The status says approved; the signature must say so too."""
        review = review_of(record)
        asked = (record.request.id, record.plan.digest, self._site.name, Verdict.APPROVED)
        if review is None or (review.request, review.plan_digest, review.site, review.verdict) != asked:
            raise Refused("This site's approval is not for this Plan.", rule="approval")
        key = public_key(self._site.state.identity()) if review.by_policy else stewards(journal).get(review.steward)
        try:
            review.check_signature(key or "")
        except IntegrityFailure:
            raise Refused("This site's approval is not signed by its steward.", rule="signature") from None
        if moments.read(review.expires_at) <= self._site.clock():
            raise Refused("This site's approval has expired.", "Submit the request again.", rule="expiry")

    def _charge(
        self, journal: JournalWriter, record: RequestRecord, analysis: Analysis, job: str, dataset: DatasetFacts
    ) -> None:
        mechanism = mechanism_of(record.plan, analysis)
        if mechanism is None or record.plan.privacy is None:
            return
        budget = self._site.state.policy().budget(dataset.name)
        charge = Charge.of(
            mechanism, at=self._site.now(), request=record.request.id, job=job, plan=record.plan, dataset=dataset.name
        )
        Standing.of(budget, charges(journal, dataset.name)).check(charge)
        journal.append(Draft(BUDGETS + dataset.name, "charge", self._site.name, charge.at, charge.to_dict()))
