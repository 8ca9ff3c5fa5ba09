"""What holds at this site and what happened there: the policy, the ledger, and a Request's trail in the Journal."""

from __future__ import annotations

import json

from fastapi import APIRouter
from fastapi.responses import Response

from synthema_core.errors import NotFound
from synthema_core.journal import Entry
from synthema_core.policy_explained import explain_policy
from synthema_core.request_record import REQUESTS
from synthema_datasite.pages.queue_view import PER_PAGE
from synthema_datasite.pages.shared import Here, LoggedIn, Pages
from synthema_datasite.service.budget_reading import pld_of, read_budgets
from synthema_datasite.service.costs import read_ledger
from synthema_datasite.service.evidence import EVIDENCE
from synthema_datasite.service.log_sharing import SHARED_LOGS
from synthema_datasite.service.records import BUDGETS, RENEWALS, dataset_records, stewards

routes = APIRouter()


@routes.get("/policy")
def policy(pages: Here, session: LoggedIn) -> Response:
    rules, state = pages.site.state.policy(), pages.site.state
    datasets = dataset_records(pages.site.journal)
    return pages.render(
        "policy.html",
        session,
        explained={name: explain_policy(rules, name) for name in datasets},
        titles={name: record.facts.schema.title for name, record in datasets.items()},
        digest=rules.digest,
        toml=(state.folder / "policy.toml").read_text(),
        sandbox=state.sandbox(),
        report=pages.examination.report(),
        stewards=sorted(stewards(pages.site.journal)),
    )


@routes.get("/ledger")
def ledger(pages: Here, session: LoggedIn, page: str = "1") -> Response:
    number = max(1, int(page)) if page.isdecimal() and len(page) < 9 else 1
    lines = pages.register.lines()
    readings = read_budgets(pages.site, lines)
    made = {one.patients: read_ledger(pages.site, one.patients, (number - 1) * PER_PAGE, PER_PAGE) for one in readings}
    return pages.render(
        "ledger.html",
        session,
        readings=readings,
        made=made,
        tight={one.patients: pld_of(one.mechanisms, one.budget) for one in readings},
        lines={line.id: line for line in lines},
        page=number,
        pages_of_it=max((-(-one.count // PER_PAGE) for one in made.values()), default=1) or 1,
    )


@routes.get("/requests/{identifier}/trail")
def trail(identifier: str, pages: Here, session: LoggedIn) -> Response:
    journal = pages.site.journal
    streams = [prefix + identifier for prefix in (REQUESTS, EVIDENCE, SHARED_LOGS)]
    entries = [entry for stream in streams for entry in journal.entries(stream)]
    if not entries:
        raise NotFound(f"There is no request '{identifier}'.", "List them to see their names.")
    entries += _charged(pages, identifier)
    entries.sort(key=lambda entry: entry.sequence)
    shown = [(entry, json.dumps(entry.body, indent=1, ensure_ascii=True)) for entry in entries]
    return pages.render("trail.html", session, identifier=identifier, entries=shown, head=journal.head())


def _charged(pages: Pages, identifier: str) -> list[Entry]:
    """The Charges for that Request, and the Renewals of the Budget that they are in."""
    journal, policy = pages.site.journal, pages.site.state.policy()
    found, groups = list[Entry](), set[str]()
    for stream in journal.streams(BUDGETS):
        made = [entry for entry in journal.entries(stream) if entry.body.get("request") == identifier]
        found += made
        groups |= {policy.patients_of(stream.removeprefix(BUDGETS))} if made else set()
    return [*found, *(entry for group in sorted(groups) for entry in journal.entries(RENEWALS + group))]
