"""The verbs `synthema datasite init | steward | join | ingest | serve | review | budget | doctor | notices | syft`."""

from __future__ import annotations

from typing import Any

from synthema_datasite.cli import budget, checkup, review, site, syft


def verbs(commands: Any) -> None:
    """Add the datasite's verbs to the `synthema` command."""
    datasite = commands.add_parser("datasite", help="a hospital's data server").add_subparsers(
        title="verbs", metavar="VERB", required=True
    )
    site.verbs(datasite)
    review.verbs(datasite)
    budget.verbs(datasite)
    checkup.verbs(datasite)
    syft.verbs(datasite)
