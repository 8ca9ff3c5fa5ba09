"""What holds at this site and what happened there: the policy, the ledger, and a Request's trail in the Journal."""

from __future__ import annotations

import json

from fastapi import APIRouter
from fastapi.responses import Response

from synthema_core.errors import NotFound
from synthema_core.policy_explained import explain_policy
from synthema_core.request_record import REQUESTS
from synthema_datasite.pages.queue_view import PER_PAGE
from synthema_datasite.pages.shared import Here, LoggedIn
from synthema_datasite.service.costs import read_ledger
from synthema_datasite.service.evidence import EVIDENCE
from synthema_datasite.service.log_sharing import SHARED_LOGS
from synthema_datasite.service.records import dataset_records, stewards

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
    first = (number - 1) * PER_PAGE
    datasets = dataset_records(pages.site.journal)
    readings = [read_ledger(pages.site, name, first, PER_PAGE) for name in datasets]
    return pages.render(
        "ledger.html",
        session,
        readings=readings,
        lines={line.id: line for line in pages.register.lines()},
        page=number,
        pages_of_it=max((-(-reading.charges // PER_PAGE) for reading in readings), default=1) or 1,
    )


@routes.get("/requests/{identifier}/trail")
def trail(identifier: str, pages: Here, session: LoggedIn) -> Response:
    journal = pages.site.journal
    streams = [prefix + identifier for prefix in (REQUESTS, EVIDENCE, SHARED_LOGS)]
    entries = [entry for stream in streams for entry in journal.entries(stream)]
    if not entries:
        raise NotFound(f"There is no request '{identifier}'.", "List them to see their names.")
    budgets = [entry for stream in journal.streams("budget/") for entry in journal.entries(stream)]
    entries += [entry for entry in budgets if entry.body.get("request") == identifier]
    entries.sort(key=lambda entry: entry.sequence)
    shown = [(entry, json.dumps(entry.body, indent=1, ensure_ascii=True)) for entry in entries]
    return pages.render("trail.html", session, identifier=identifier, entries=shown, head=journal.head())
