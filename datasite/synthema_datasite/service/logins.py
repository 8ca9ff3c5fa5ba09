"""When each steward logged in to the page: for the page's “new since”, and for whoever audits who looked at what."""

from __future__ import annotations

from synthema_core.journal import Draft
from synthema_datasite.service.site import Site

LOGINS = "login/"


def note_login(site: Site, steward: str) -> str:
    """Record a login; the moment of the one before it, or empty."""
    with site.journal.writing() as journal:
        earlier = journal.entries(LOGINS + steward)
        journal.append(Draft(LOGINS + steward, "login", steward, site.now(), {}))
    return earlier[-1].at if earlier else ""
