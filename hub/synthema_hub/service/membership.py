"""Sites: invited with a one-time code, joined with their keys, announced with their Cards, seen online."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from synthema_core import moments
from synthema_core.canonical import Json
from synthema_core.card import Card
from synthema_core.errors import IntegrityFailure, InvalidInput, NotAuthenticated, NotPermitted
from synthema_core.joining import Joining
from synthema_core.journal import Draft, Entry
from synthema_core.plan import valid_site_name
from synthema_core.ports import Clock, Journal
from synthema_hub.service.records import SITES, SiteRecord, site_names, site_record

ONLINE = timedelta(seconds=45)
_CODE_DAYS = 7


class NodeRegistry(Protocol):
    def register_node(self, public_key: str, name: str) -> int:
        """Let the holder of this key in as a Flower node; return its id. Idempotent."""
        ...


def _code_digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


def invite(journal: Journal, site: str, actor: str, now: datetime, code: str) -> str:
    """Record that whoever shows `code` within a week may join as `site`; return the code.

    A later invitation of the same site replaces it. The Journal keeps the code's digest only.
    """
    if not valid_site_name(site):
        raise InvalidInput(f"'{site}' cannot name a site.", "Use lower-case letters, digits and hyphens.")
    at = moments.spell(now)
    with journal.writing() as writer:
        if _is_member(writer.entries(SITES + site)):
            raise InvalidInput(f"The site '{site}' has joined already.", "Choose another name.")
        body = {"code": _code_digest(code), "until": moments.days_later(at, _CODE_DAYS)}
        writer.append(Draft(SITES + site, "invite", actor, at, body))
    return code


class Membership:
    """The federation's sites."""

    def __init__(self, journal: Journal, clock: Clock, nodes: NodeRegistry) -> None:
        self._journal, self._clock, self._nodes = journal, clock, nodes
        self._seen: dict[str, datetime] = {}

    def join(self, joining: Joining) -> SiteRecord:
        """Take the site in: check its code and signature, register its node, record its keys.

        Raises
        ------
        NotAuthenticated
            For a wrong, used or old code, or a signature that does not hold. The code stays valid.
        """
        self._check_invited(self._journal.entries(SITES + joining.site), joining)
        try:
            joining.check_signature()
        except IntegrityFailure:
            raise NotAuthenticated("The joining site does not hold the identity key it shows.") from None
        node = self._nodes.register_node(joining.node_key, joining.site)
        with self._journal.writing() as journal:
            self._check_invited(journal.entries(SITES + joining.site), joining)
            body = {
                "title": joining.title,
                "identity": joining.identity,
                "node_key": joining.node_key,
                "node": str(node),
            }
            now = moments.spell(self._clock())
            journal.append(Draft(SITES + joining.site, "join", joining.site, now, body))
        return site_record(self._journal, joining.site)

    def _check_invited(self, entries: list[Entry] | Any, joining: Joining) -> None:
        invitation = next((entry for entry in reversed(entries) if entry.kind == "invite"), None)
        if invitation is None or _is_member(entries):
            raise NotAuthenticated(
                f"There is no open invitation for '{joining.site}'.", "Ask the hub's operator for one."
            )
        if not hmac.compare_digest(str(invitation.body["code"]), _code_digest(joining.code)):
            raise NotAuthenticated("The invitation code is wrong.", "Ask the hub's operator for a new one.")
        if moments.read(str(invitation.body["until"])) < self._clock():
            raise NotAuthenticated("The invitation code is too old.", "Ask the hub's operator for a new one.")

    def announce(self, site: str, cards: list[Mapping[str, Any]], stewards: Mapping[str, str], page: str) -> None:
        """Record a site's Cards and stewards, if they differ from what it announced last."""
        record = site_record(self._journal, site)
        for card in map(Card.from_dict, cards):
            card.check_signature()
            if card.site != site or card.identity != record.identity:
                raise NotPermitted(f"The site '{site}' announced a Card that is not its own.")
        body: dict[str, Json] = {"cards": [dict(card) for card in cards], "stewards": dict(stewards), "page": page}
        with self._journal.writing() as journal:
            last = next((e for e in reversed(journal.entries(SITES + site)) if e.kind == "announce"), None)
            if last is None or last.body != body:
                journal.append(Draft(SITES + site, "announce", site, moments.spell(self._clock()), body))

    def saw(self, site: str) -> None:
        """The site has just called."""
        self._seen[site] = self._clock()

    def is_online(self, site: str) -> bool:
        seen = self._seen.get(site)
        return seen is not None and self._clock() - seen <= ONLINE

    def sites(self) -> list[SiteRecord]:
        return [site_record(self._journal, name) for name in site_names(self._journal)]

    def site(self, name: str) -> SiteRecord:
        return site_record(self._journal, name)

    def cards(self) -> list[Card]:
        return [card for site in self.sites() for card in site.cards]


def _is_member(entries: Any) -> bool:
    return any(entry.kind == "join" for entry in entries)
