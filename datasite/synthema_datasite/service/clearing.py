"""Release decisions: what a Plan's code put out here, looked at by this site's stewards before anything is summed."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core.analyses.diffprivlib_model import DIFFPRIVLIB
from synthema_core.clearance import Clearance
from synthema_core.code.references import check, selected
from synthema_core.code.shapes import AGGREGATE
from synthema_core.errors import IntegrityFailure, InvalidInput, Refused, TransitionDenied
from synthema_core.ports import JournalWriter
from synthema_core.request import Event, Role, Status, Verb
from synthema_core.request_record import RequestRecord, record_event, request_record
from synthema_core.review import check_not_own_request
from synthema_datasite.service.approvals import clearances_of, left_out
from synthema_datasite.service.decisions import check_shown, check_text, limits_of
from synthema_datasite.service.site import Site
from synthema_datasite.service.staging import Staged, staged_output
from synthema_datasite.service.stewards import unlock


class Clearing:
    """What a steward can do about what is staged. A decision names the output that its steward looked at.

    Raises
    ------
    NotAuthenticated, NotPermitted, TransitionDenied, Refused
        Wrong passphrase; own request; nothing waits, decided already, or expired; against the site's Policy.
    IntegrityFailure
        If what waits is not what was looked at, or is not any more what the run put there.
    """

    def __init__(self, site: Site) -> None:
        self.site = site

    def staged(self, identifier: str) -> Staged:
        """What waits of that Request."""
        return staged_output(self.site, request_record(self.site.journal, identifier, self.site.name))

    def clear(
        self,
        identifier: str,
        steward: str,
        passphrase: str,
        *,
        output: str,
        redacted: Sequence[str] = (),
        reason: str = "",
        plan_digest: str = "",
    ) -> Clearance:
        """Sign that the staged output may be summed with the other sites'.

        Where the Policy asks for several stewards, the site has cleared with the last of them; what any of them left
        out is left out.

        Parameters
        ----------
        output
            Commitment to the numbers that the steward was shown.
        redacted
            Outputs (``deaths``) and cells (``deaths[2]``) that this site does not give.
        """
        return self._decide(identifier, steward, passphrase, True, output, redacted, reason, plan_digest)

    def withhold(
        self, identifier: str, steward: str, passphrase: str, reason: str, *, output: str, plan_digest: str = ""
    ) -> Clearance:
        """Sign that it may not, with a reason that the researcher will read. One steward's is enough."""
        return self._decide(identifier, steward, passphrase, False, output, (), reason, plan_digest)

    def _decide(
        self,
        identifier: str,
        steward: str,
        passphrase: str,
        cleared: bool,
        output: str,
        redacted: Sequence[str],
        reason: str,
        plan_digest: str,
    ) -> Clearance:
        key = unlock(self.site, steward, passphrase)
        with self.site.journal.writing() as journal:
            record = request_record(journal, identifier, self.site.name)
            check_shown(record, plan_digest)
            check_not_own_request(steward, record.request.author)
            if record.request.status is not Status.STAGED:
                raise TransitionDenied(f"Nothing of the request {identifier}, which is {record.request.status}, waits.")
            staged = staged_output(self.site, record)
            if output != staged.commitment:
                raise IntegrityFailure("This is not the output you were shown.", "Open it again and look at it.")
            now = self.site.decided_at(journal)
            if cleared:
                self._check_allowed(record)
            clearance = Clearance(
                request=identifier,
                plan_digest=record.plan.digest,
                site=self.site.name,
                steward=steward,
                output=output,
                cleared=cleared,
                reason=check_text(reason, "The reason"),
                decided_at=now,
                redacted=_redacted(record, staged, redacted),
                stewards_needed=self._stewards_needed(record),
            )
            return self._record(journal, record, clearance, key)

    def _check_allowed(self, record: RequestRecord) -> None:
        limits = limits_of(self.site, record)
        if record.plan.analysis == DIFFPRIVLIB:
            if not limits.diffprivlib:
                raise Refused("This site's policy releases no such models.", "Withhold it.", rule="diffprivlib")
        elif AGGREGATE not in limits.code:
            raise Refused("This site's policy releases no outputs of such code.", "Withhold it.", rule="code")

    def _stewards_needed(self, record: RequestRecord) -> int:
        """By the Policy now; but no fewer than a steward who has signed already was promised."""
        promised = [clearance.stewards_needed for clearance in clearances_of(record)]
        return max(limits_of(self.site, record).stewards, *promised, 1)

    def _record(
        self, journal: JournalWriter, record: RequestRecord, clearance: Clearance, key: Ed25519PrivateKey
    ) -> Clearance:
        signed = clearance.signed(key)
        event = Event(
            Verb.CLEAR,
            signed.steward,
            Role.STEWARD,
            signed.decided_at,
            self.site.name,
            signed.cleared,
            signed.to_dict(),
        )
        record_event(journal, record.request, event)
        return signed


def _redacted(record: RequestRecord, staged: Staged, named: Sequence[str]) -> tuple[str, ...]:
    """The references, if something is left with what is left out already."""
    references = check(named, staged.outputs)
    gone = [*left_out(record), *references]
    if references and bool(selected(gone, staged.outputs).all()):
        raise InvalidInput("That leaves nothing of the output.", "Withhold it, and say why.")
    return references
