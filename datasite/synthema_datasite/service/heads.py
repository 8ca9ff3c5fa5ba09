"""This site's side of the countersigned heads: neither journal can be set back without the other side's notice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from synthema_core.canonical import Json
from synthema_core.errors import IntegrityFailure
from synthema_core.heads import OWN, check_countersigned, countersign, head_of
from synthema_core.identity import public_key
from synthema_core.journal import Head, check_contains
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

    In two steps: a hub keeps whatever newer head it is shown, so this site shows none before it has seen that it still
    has all that the hub holds of it. Else a Journal that was set back and has grown again would be refused only once.

    Raises
    ------
    IntegrityFailure
        If this Journal lacks what the hub countersigned earlier, or the hub's lacks what this site has seen of it.
    """
    anchored, _ = site.journal.anchor(_SITE_ANCHOR)
    _check_kept(site, _ask(site, hub, anchored))
    head = site.journal.head()
    answer = _ask(site, hub, head)
    _check_kept(site, answer)
    countersigned = str(answer["countersigned"])
    check_countersigned(hub_key, site.name, head, countersigned)
    site.journal.set_anchor(_SITE_ANCHOR, head, countersigned)
    _keep_hubs_head(site, answer["hub"], hub_key)


def _ask(site: Site, hub: HeadKeeper, head: Head) -> dict[str, Any]:
    hub_head, _ = site.journal.anchor(_HUB_ANCHOR)
    statement: dict[str, Json] = {
        "head": head.to_dict(),
        "signature": countersign(site.state.identity(), site.name, head),
        "hub_head": hub_head.to_dict(),
    }
    answer = hub.heads(statement)
    if not answer.keys() >= {"kept", "countersigned", "hub"}:
        raise IntegrityFailure("The hub's answer about the heads lacks a part.")
    return answer


def _check_kept(site: Site, answer: Mapping[str, Any]) -> None:
    """The hub shows the newest head this site ever signed: the one witness that a local restore cannot touch."""
    head, signature = _signed_head(answer["kept"])
    if head.sequence:
        check_countersigned(public_key(site.state.identity()), site.name, head, signature)
        check_contains(head, site.journal.digest_at(head.sequence))


def _keep_hubs_head(site: Site, shown: Any, hub_key: str) -> None:
    head, signature = _signed_head(shown)
    check_countersigned(hub_key, OWN, head, signature)
    known, _ = site.journal.anchor(_HUB_ANCHOR)
    if head.sequence < known.sequence or (head.sequence == known.sequence and head != known):
        raise IntegrityFailure(
            f"The hub's journal is older than entry {known.sequence}, which this site has seen, or another one.",
            "Ask its operator whether it was restored from a backup.",
        )
    site.journal.set_anchor(_HUB_ANCHOR, head, signature)


def _signed_head(data: Any) -> tuple[Head, str]:
    head = head_of(data)
    return head, str(data.get("signature", "")) if isinstance(data, Mapping) else ""
