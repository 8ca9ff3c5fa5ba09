"""Stewards' verdicts: given here, signed by the steward's key, appended to this site's Journal, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core import moments
from synthema_core.admission import admit
from synthema_core.analyses import from_plan
from synthema_core.charging import charge_of
from synthema_core.code.references import check, selected
from synthema_core.errors import InvalidInput
from synthema_core.journal import Draft
from synthema_core.ports import JournalWriter
from synthema_core.request import Event, Role, Status, Verb
from synthema_core.request_record import RequestRecord, record_event, request_record
from synthema_core.review import Review, Verdict, check_not_own_request
from synthema_core.staged import outputs_of
from synthema_datasite.service.allowance import check_allowance
from synthema_datasite.service.approvals import left_out, reviews_of
from synthema_datasite.service.decisions import (
    Wait,
    check_not_expired,
    check_shown,
    check_text,
    limits_of,
    waits_for,
)
from synthema_datasite.service.readings import check_may_read
from synthema_datasite.service.records import IDENTITIES, known_identities, request_records
from synthema_datasite.service.site import Site
from synthema_datasite.service.stewards import unlock
from synthema_datasite.service.stored_answers import stored_answer


class Reviewing:
    """What a steward can do about a Plan. Every decision takes the passphrase: an open session alone decides nothing.

    A decision names the digest of the Plan that its steward was shown (`plan_digest`), and is refused if the Request's
    is another; empty: not compared.
    """

    def __init__(self, site: Site) -> None:
        self.site = site

    def all(self) -> list[RequestRecord]:
        """Every Request this site has received, oldest first."""
        return request_records(self.site.journal, self.site.name)

    def waiting(self) -> list[RequestRecord]:
        """Those that wait for a steward: for a review, or for a release decision."""
        return [record for record in self.all() if waits_for(record) is not Wait.NOTHING]

    def get(self, identifier: str) -> RequestRecord:
        return request_record(self.site.journal, identifier, self.site.name)

    def check_steward(self, steward: str, passphrase: str) -> None:
        """Raise NotAuthenticated unless this is a steward of this site with that passphrase."""
        unlock(self.site, steward, passphrase)

    def approve(
        self,
        identifier: str,
        steward: str,
        passphrase: str,
        *,
        plan_digest: str = "",
        reason: str = "",
        until_days: float | None = None,
        without: Sequence[str] = (),
    ) -> Review:
        """Sign an approval of the Plan, good for one run until it expires.

        Where the Policy asks for several stewards, the site has approved with the last of them. Where the question was
        answered before with this site's help, the approval is for that answer alone (`Review.answered_by`).

        Parameters
        ----------
        until_days
            A condition: the approval ends so many days from now, if nothing else ends it before.
        without
            A condition: outputs (``deaths``) and cells (``deaths[2]``) of the Plan's code that this site does not give.

        Raises
        ------
        NotAuthenticated, NotPermitted, TransitionDenied, Refused
            Wrong passphrase; own request; already decided, expired or ended; against the site's Policy.
        InvalidInput, NotFound
            For a condition that cannot be kept.
        """
        key = unlock(self.site, steward, passphrase)
        with self.site.journal.writing() as journal:
            record = self._shown(journal, identifier, plan_digest)
            if record.request.status is Status.UNDER_REVIEW:
                self._check_allowed(journal, record)
            now = self.site.decided_at(journal)
            stored = stored_answer(journal, self.site.name, record)
            review = self._review(record, steward, Verdict.APPROVED, reason, now, until_days, without)
            review = replace(review, answered_by=stored.request if stored else "")
            return self._record(journal, record, review, key)

    def reject(self, identifier: str, steward: str, passphrase: str, reason: str, *, plan_digest: str = "") -> Review:
        """Sign a rejection, with a reason that the researcher will read. One steward's is enough."""
        key = unlock(self.site, steward, passphrase)
        with self.site.journal.writing() as journal:
            record = self._shown(journal, identifier, plan_digest)
            now = self.site.decided_at(journal)
            return self._record(journal, record, self._review(record, steward, Verdict.REJECTED, reason, now), key)

    def revoke(self, identifier: str, steward: str, passphrase: str, *, plan_digest: str = "") -> None:
        """Take the site's yes back: before the run starts, or, for what its code put out, before the sum starts."""
        unlock(self.site, steward, passphrase)
        with self.site.journal.writing() as journal:
            record = self._shown(journal, identifier, plan_digest)
            now = self.site.decided_at(journal)
            record_event(journal, record.request, Event(Verb.REVOKE, steward, Role.STEWARD, now, self.site.name))

    def ask(self, identifier: str, steward: str, passphrase: str, text: str, *, plan_digest: str = "") -> None:
        """Put a question to the researcher, who reads it as text; the Request goes on waiting."""
        unlock(self.site, steward, passphrase)
        if not text.strip():
            raise InvalidInput("A question needs a text.", "Give --text 'a sentence the researcher can answer'.")
        with self.site.journal.writing() as journal:
            record = self._shown(journal, identifier, plan_digest)
            now = self.site.decided_at(journal)
            detail = {"text": check_text(text, "The question")}
            record_event(
                journal, record.request, Event(Verb.ASK, steward, Role.STEWARD, now, self.site.name, None, detail)
            )

    def _shown(self, journal: JournalWriter, identifier: str, plan_digest: str) -> RequestRecord:
        record = request_record(journal, identifier, self.site.name)
        check_shown(record, plan_digest)
        return record

    def _check_allowed(self, journal: JournalWriter, record: RequestRecord) -> None:
        """A steward approves within the hospital's Policy, as it is now; not beyond it."""
        analysis = admit(record.plan, self.site.facts(journal))
        check_allowance(self.site, journal, record.plan, charge_of(record.plan, analysis))
        if stored_answer(journal, self.site.name, record):
            check_may_read(self.site, journal, record)

    def _review(
        self,
        record: RequestRecord,
        steward: str,
        verdict: Verdict,
        reason: str,
        now: str,
        until_days: float | None = None,
        without: Sequence[str] = (),
    ) -> Review:
        check_not_own_request(steward, record.request.author)
        check_not_expired(record, now)
        return Review(
            request=record.request.id,
            plan_digest=record.plan.digest,
            site=self.site.name,
            steward=steward,
            verdict=verdict,
            reason=check_text(reason, "The reason"),
            decided_at=now,
            expires_at=self._end_of_approval(record, now, until_days),
            stewards_needed=self._stewards_needed(record),
            without=_outputs_left_out(record, without),
        )

    def _end_of_approval(self, record: RequestRecord, now: str, until_days: float | None) -> str:
        days = limits_of(self.site, record).approval_days
        if until_days is not None:
            if not until_days > 0:
                raise InvalidInput("An approval lasts for more than 0 days.", "Reject the request instead.")
            days = min(days, until_days)
        return min(record.plan.expires_at, moments.days_later(now, days), key=moments.read)

    def _stewards_needed(self, record: RequestRecord) -> int:
        """By the Policy now; but no fewer than a steward who has signed already was promised."""
        promised = [review.stewards_needed for review in reviews_of(record)]
        return max(limits_of(self.site, record).stewards, *promised, 1)

    def _record(self, journal: JournalWriter, record: RequestRecord, review: Review, key: Ed25519PrivateKey) -> Review:
        signed, approved = review.signed(key), review.verdict is Verdict.APPROVED
        event = Event(
            Verb.REVIEW, review.steward, Role.STEWARD, review.decided_at, self.site.name, approved, signed.to_dict()
        )
        after = record_event(journal, record.request, event)
        if after.verdicts.get(self.site.name):
            self._remember_identities(journal, record, review.decided_at)
        return signed

    def _remember_identities(self, journal: JournalWriter, record: RequestRecord, now: str) -> None:
        """With the first approval that names a site, its key is the one this site expects from then on."""
        known = known_identities(journal)
        for site, identity in sorted(record.plan.identities.items()):
            if site not in known and site != self.site.name:
                body = {"site": site, "identity": identity, "request": record.request.id}
                journal.append(Draft(IDENTITIES, "met", self.site.name, now, body))


def _outputs_left_out(record: RequestRecord, without: Sequence[str]) -> tuple[str, ...]:
    if not without:
        return ()
    outputs = outputs_of(from_plan(record.plan.analysis, record.plan.parameters))
    if outputs is None:
        raise InvalidInput(
            "Only of code and models can outputs be left out.", "Reject the request, and say what would do."
        )
    references = check(without, outputs)
    if bool(selected([*left_out(record), *references], outputs).all()):
        raise InvalidInput("That leaves nothing of what it puts out.", "Reject the request instead.")
    return references
