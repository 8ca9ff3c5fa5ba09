"""What the hub does for a site that calls: the feed of facts that concern it, and countersigned heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core.canonical import Json
from synthema_core.errors import IntegrityFailure
from synthema_core.heads import OWN, check_head_statement, countersign, head_of
from synthema_core.journal import check_contains
from synthema_core.plan import Plan
from synthema_core.request import Verb
from synthema_core.request_record import REQUESTS, event_of, request_record
from synthema_core.sqlite_journal import SqliteJournal
from synthema_hub.service.mirror import runs_before_sum
from synthema_hub.service.records import SiteRecord

_PAGE = 200
_TOLD = frozenset(
    {
        Verb.SUBMIT,
        Verb.ANSWER,
        Verb.START,
        Verb.WITHDRAW,
        Verb.EXPIRE,
        Verb.REJECT,
        Verb.REVOKE,
        Verb.WITHHOLD,
        Verb.RELEASE,
        Verb.REUSE,
        Verb.FAIL,
    }
)


class SiteDesk:
    """Serves the sites' side of the Journal."""

    def __init__(self, journal: SqliteJournal, key: Ed25519PrivateKey) -> None:
        self._journal, self._key = journal, key

    def feed(self, site: str, after: int) -> dict[str, Json]:
        """Facts after that place in the hub's Journal which concern `site`, and the place to go on from.

        Sites trust none of it: a Plan counts only after their own checks and their own steward's Review.
        """
        facts: list[Json] = []
        entries = self._journal.after(after, _PAGE)
        for entry in entries:
            if not entry.stream.startswith(REQUESTS) or Verb(entry.kind) not in _TOLD:
                continue
            record = request_record(self._journal, entry.stream.removeprefix(REQUESTS))
            if site in record.plan.sites and _is_told(Verb(entry.kind), record.plan):
                event = event_of(entry)
                facts.append(
                    {
                        "request": record.request.id,
                        "verb": event.verb.value,
                        "actor": event.actor,
                        "role": event.role.value,
                        "at": event.at,
                        "site": event.site,
                        "detail": dict(event.detail),
                    }
                )
        return {"facts": facts, "next": entries[-1].sequence if entries else after}

    def exchange_heads(self, site: SiteRecord, statement: Mapping[str, Any]) -> dict[str, Json]:
        """Check and keep the site's head, countersign it, and hand out the hub's own.

        Parameters
        ----------
        statement
            {"head", "signature", "hub_head"}: the site's head signed by its identity, and the newest head of the
            hub's that the site has kept.

        Raises
        ------
        IntegrityFailure
            If the site's signature does not hold, or the hub's Journal is older than the head the site has kept.
        """
        head = check_head_statement(statement, site.identity, site.name)
        kept = head_of(statement.get("hub_head"))
        check_contains(kept, self._journal.digest_at(kept.sequence))
        before, signature = self._journal.anchor(site.name)
        if head.sequence >= before.sequence:
            if head.sequence == before.sequence and before.sequence and head.digest != before.digest:
                raise IntegrityFailure(f"The journal of '{site.name}' forked at entry {head.sequence}.")
            self._journal.set_anchor(site.name, head, str(statement["signature"]))
        own = self._journal.head()
        return {
            "kept": {**before.to_dict(), "signature": signature},
            "countersigned": countersign(self._key, site.name, head),
            "hub": {**own.to_dict(), "signature": countersign(self._key, OWN, own)},
        }


def _is_told(verb: Verb, plan: Plan) -> bool:
    """A Job is opened by Flower; but code with a release decision is run by each site on its own, when it is told."""
    return verb is not Verb.START or runs_before_sum(plan)
