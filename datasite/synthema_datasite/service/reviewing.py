"""Stewards' verdicts: given here, signed by the steward's key, appended to this site's Journal, and nowhere else."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core import moments
from synthema_core.admission import admit
from synthema_core.errors import IntegrityFailure, NotAuthenticated, NotPermitted, TransitionDenied
from synthema_core.identity import public_key
from synthema_core.journal import Draft
from synthema_core.ports import JournalWriter
from synthema_core.request import Event, Role, Status, Verb
from synthema_core.request_record import RequestRecord, record_event, request_record
from synthema_core.review import Review, Verdict, check_not_own_request
from synthema_datasite.service.records import IDENTITIES, known_identities, request_records, stewards
from synthema_datasite.service.site import Site


class Reviewing:
    """What a steward can do. Every decision takes the passphrase: an open session alone decides nothing."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def all(self) -> list[RequestRecord]:
        """Every Request this site has received, oldest first."""
        return request_records(self.site.journal, self.site.name)

    def waiting(self) -> list[RequestRecord]:
        return [record for record in self.all() if record.request.status is Status.UNDER_REVIEW]

    def get(self, identifier: str) -> RequestRecord:
        return request_record(self.site.journal, identifier, self.site.name)

    def check_steward(self, steward: str, passphrase: str) -> None:
        """Raise NotAuthenticated unless this is a steward of this site with that passphrase."""
        self._unlock(steward, passphrase)

    def approve(
        self, identifier: str, steward: str, passphrase: str, *, plan_digest: str = "", reason: str = ""
    ) -> Review:
        """Sign an approval of the Plan, good for one run until it expires.

        Parameters
        ----------
        plan_digest
            The digest the steward was shown; refused if the Request's is another. Empty: not compared.

        Raises
        ------
        NotAuthenticated, NotPermitted, TransitionDenied, Refused
            Wrong passphrase; own request; already decided, expired or ended; against the site's Policy.
        """
        return self._decide(identifier, steward, passphrase, Verdict.APPROVED, reason, plan_digest)

    def reject(self, identifier: str, steward: str, passphrase: str, reason: str, *, plan_digest: str = "") -> Review:
        """Sign a rejection, with a reason that the researcher will read."""
        return self._decide(identifier, steward, passphrase, Verdict.REJECTED, reason, plan_digest)

    def revoke(self, identifier: str, steward: str, passphrase: str) -> None:
        """Take the site's approval back, as long as the run has not started."""
        self._unlock(steward, passphrase)
        with self.site.journal.writing() as journal:
            record = request_record(journal, identifier, self.site.name)
            event = Event(Verb.REVOKE, steward, Role.STEWARD, self.site.now(), self.site.name)
            record_event(journal, record.request, event)

    def _decide(
        self, identifier: str, steward: str, passphrase: str, verdict: Verdict, reason: str, shown: str
    ) -> Review:
        key = self._unlock(steward, passphrase)
        now = self.site.now()
        with self.site.journal.writing() as journal:
            record = request_record(journal, identifier, self.site.name)
            check_not_own_request(steward, record.request.author)
            if shown and shown != record.plan.digest:
                raise IntegrityFailure("This is not the Plan you were shown.", "Open the request again and read it.")
            if verdict is Verdict.APPROVED and record.request.status is Status.UNDER_REVIEW:
                admit(record.plan, self.site.facts(journal))
            _check_not_expired(record, now)
            review = Review(
                request=identifier,
                plan_digest=record.plan.digest,
                site=self.site.name,
                steward=steward,
                verdict=verdict,
                reason=reason,
                decided_at=now,
                expires_at=self._end_of_approval(record, now),
            ).signed(key)
            approved = verdict is Verdict.APPROVED
            event = Event(Verb.REVIEW, steward, Role.STEWARD, now, self.site.name, approved, review.to_dict())
            record_event(journal, record.request, event)
            if approved:
                self._remember_identities(journal, record)
        return review

    def _end_of_approval(self, record: RequestRecord, now: str) -> str:
        participant = record.plan.participant(self.site.name)
        days = self.site.state.policy().for_dataset(participant.dataset).approval_days
        return min(record.plan.expires_at, moments.days_later(now, days), key=moments.read)

    def _remember_identities(self, journal: JournalWriter, record: RequestRecord) -> None:
        """With the first approval that names a site, its key is the one this site expects from then on."""
        known = known_identities(journal)
        for site, identity in sorted(record.plan.identities.items()):
            if site not in known and site != self.site.name:
                body = {"site": site, "identity": identity, "request": record.request.id}
                journal.append(Draft(IDENTITIES, "met", self.site.name, self.site.now(), body))

    def _unlock(self, steward: str, passphrase: str) -> Ed25519PrivateKey:
        key = self.site.state.unlock(steward, passphrase)
        recorded = stewards(self.site.journal).get(steward)
        if recorded is None:
            raise NotPermitted(f"'{steward}' is not a steward of this site.", "Ask its engineer to add you.")
        if recorded != public_key(key):
            raise NotAuthenticated("The steward's key is not the one this site's journal knows.")
        return key


def _check_not_expired(record: RequestRecord, now: str) -> None:
    if moments.read(record.request.expires_at) <= moments.read(now):
        raise TransitionDenied(
            f"The request {record.request.id} expired at {record.request.expires_at}.",
            "The researcher can submit it again.",
        )
