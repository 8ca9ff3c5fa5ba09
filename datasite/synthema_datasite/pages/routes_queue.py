"""The queue's address."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from synthema_datasite.pages.queue_view import STATUSES, Filter, notes_of, queue_of
from synthema_datasite.pages.shared import Here, LoggedIn

routes = APIRouter()


@routes.get("/")
def queue(pages: Here, session: LoggedIn, status: str = "", who: str = "", text: str = "", page: str = "1") -> Response:
    wanted = Filter(status, who, text)
    shown = queue_of(pages.register.lines(), wanted, int(page) if page.isdecimal() and len(page) < 9 else 1)
    lines = [line for part in shown.parts for line in part.lines]
    notes = {line.id: notes_of(line, session.steward, pages.site.name, session.last_login) for line in lines}
    return pages.render("queue.html", session, queue=shown, wanted=wanted, statuses=STATUSES, notes=notes)
