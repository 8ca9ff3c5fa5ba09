"""This site's side of the countersigned heads: neither journal can be set back without the other side's notice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from synthema_core.canonical import Json
from synthema_core.heads import OWN, check_countersigned, countersign, head_of
from synthema_core.identity import public_key
from synthema_core.journal import check_contains
from synthema_datasite.service.site import Site

_SITE_ANCHOR, _HUB_ANCHOR = "own", "hub"


class HeadKeeper(Protocol):
    def heads(self, statement: dict[str, Json]) -> dict[str, Any]:
        """The hub's answer: {"kept", "countersigned", "hub"}."""
        ...


def check_own_journal(site: Site) -> None:
    """At the start: the chain holds, and it contains the newest head the hub has countersigned.

    Raises
    ------
    IntegrityFailure
        If entries were edited, removed or replaced, or the tail was cut.
    """
    site.journal.verify()
    anchored, _ = site.journal.anchor(_SITE_ANCHOR)
    check_contains(anchored, site.journal.digest_at(anchored.sequence))


def exchange_heads(site: Site, hub: HeadKeeper, hub_key: str) -> None:
    """Have this site's head countersigned, and keep the hub's.

    Raises
    ------
    IntegrityFailure
        If this Journal lacks what the hub countersigned earlier, or the hub's lacks what this site has seen of it.
    """
    key, head = site.state.identity(), site.journal.head()
    hub_head, _ = site.journal.anchor(_HUB_ANCHOR)
    statement: dict[str, Json] = {
        "head": head.to_dict(),
        "signature": countersign(key, site.name, head),
        "hub_head": hub_head.to_dict(),
    }
    answer = hub.heads(statement)
    _check_kept(site, answer["kept"], public_key(key))
    check_countersigned(hub_key, site.name, head, str(answer["countersigned"]))
    site.journal.set_anchor(_SITE_ANCHOR, head, str(answer["countersigned"]))
    hub_now = head_of(answer["hub"])
    check_countersigned(hub_key, OWN, hub_now, str(answer["hub"]["signature"]))
    site.journal.set_anchor(_HUB_ANCHOR, hub_now, str(answer["hub"]["signature"]))


def _check_kept(site: Site, kept: Mapping[str, Any], identity: str) -> None:
    """The hub shows the newest head this site ever signed: the one witness that a local restore cannot touch."""
    head = head_of(kept)
    if head.sequence:
        check_countersigned(identity, site.name, head, str(kept["signature"]))
        check_contains(head, site.journal.digest_at(head.sequence))
