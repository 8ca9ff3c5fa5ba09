"""One Request: read it, and decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import APIRouter
from fastapi.responses import Response

from synthema_core.errors import InvalidInput, NotFound, SynthemaError
from synthema_core.request import Status
from synthema_core.request_record import RequestRecord
from synthema_core.vetting import summary
from synthema_datasite.pages.code_view import changes_of, files_of, findings_of
from synthema_datasite.pages.request_view import history_of, powers_of, thread_of
from synthema_datasite.pages.sessions import Session
from synthema_datasite.pages.shared import Here, LoggedIn, Pages, Text, Texts, go_to
from synthema_datasite.service.code_reading import CodeReading
from synthema_datasite.service.comparing import compare
from synthema_datasite.service.evidence import mock_run_of, named_values
from synthema_datasite.service.log_sharing import log_digest, share_log, shared_log
from synthema_datasite.service.reading import CHANGES, read
from synthema_datasite.service.similar import similar_requests
from synthema_datasite.service.staging import run_log

routes = APIRouter()
_NOTHING_TYPED: Mapping[str, str] = {"reason": "", "question": "", "until_days": ""}


def request_page(
    pages: Pages,
    record: RequestRecord,
    session: Session,
    error: SynthemaError | None = None,
    typed: Mapping[str, str] = _NOTHING_TYPED,
    without: Sequence[str] = (),
) -> Response:
    """The whole page; after a decision that could not be made with what was typed for it."""
    reading = read(pages.site, record, pages.register)
    log = log_of(pages, record)
    return pages.render(
        "request.html",
        session,
        400 if error else 200,
        record=record,
        reading=reading,
        **_about_code(pages, record, reading.code),
        plan_changes_title=CHANGES,
        plan_changes=next((section.lines for section in reading.sections if section.title == CHANGES), ()),
        similar=similar_requests(record, pages.register.lines()),
        thread=thread_of(record),
        history=history_of(record),
        powers=powers_of(pages.site, record, session.steward),
        is_staged=record.request.status is Status.STAGED,
        log=log,
        log_digest=log_digest(log),
        log_is_shared=shared_log(pages.site.journal, record.request.id) is not None,
        error=error,
        typed=typed,
        without=without,
    )


def _about_code(pages: Pages, record: RequestRecord, code: CodeReading | None) -> dict[str, object]:
    if code is None:
        return {"code": None, "comparison": None}
    mock_run = mock_run_of(pages.site.journal, record.request.id)
    comparison = compare(pages.site, record, pages.register)
    return {
        "code": code,
        "files": files_of(code),
        "findings": findings_of(code),
        "found": summary(code.findings),
        "comparison": comparison,
        "changes": changes_of(comparison, code.question.code) if comparison else [],
        "mock_run": mock_run,
        "mock_values": named_values(code.question.outputs, mock_run.values) if mock_run else [],
    }


def log_of(pages: Pages, record: RequestRecord) -> str:
    """Also where what was staged is gone: then there is none to show."""
    try:
        return run_log(pages.site, record)
    except SynthemaError:
        return ""


@routes.get("/requests/{identifier}")
def show(identifier: str, pages: Here, session: LoggedIn) -> Response:
    return request_page(pages, pages.reviewing.get(identifier), session)


@routes.post("/requests/{identifier}/verdict")
def decide(
    identifier: str,
    pages: Here,
    session: LoggedIn,
    form_token: Text,
    verdict: Text,
    plan_digest: Text,
    without: Texts,
    passphrase: Text = "",
    reason: Text = "",
    question: Text = "",
    until_days: Text = "",
) -> Response:
    record = pages.reviewing.get(identifier)
    typed = {"reason": reason, "question": question, "until_days": until_days}
    try:
        with pages.deciding(session, form_token):
            _decide(pages, identifier, session.steward, passphrase, verdict, plan_digest, typed, without)
    except SynthemaError as error:
        return request_page(pages, record, session, error, typed, without)
    return go_to(f"/requests/{identifier}")


def _decide(
    pages: Pages,
    identifier: str,
    steward: str,
    passphrase: str,
    verdict: str,
    digest: str,
    typed: Mapping[str, str],
    without: Sequence[str],
) -> None:
    reviewing, by = pages.reviewing, (identifier, steward, passphrase)
    if verdict == "approve":
        days = _days(typed["until_days"])
        reviewing.approve(*by, plan_digest=digest, reason=typed["reason"], until_days=days, without=without)
    elif verdict == "reject":
        reviewing.reject(*by, typed["reason"], plan_digest=digest)
    elif verdict == "ask":
        reviewing.ask(*by, typed["question"], plan_digest=digest)
    elif verdict == "revoke":
        reviewing.revoke(*by, plan_digest=digest)
    else:
        raise NotFound(f"There is no verdict '{verdict}'.")


def _days(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        raise InvalidInput(f"'{text}' is no number of days.", "Leave it empty for the usual time.") from None


@routes.post("/requests/{identifier}/log")
def share(
    identifier: str,
    pages: Here,
    session: LoggedIn,
    form_token: Text,
    shown: Text,
    plan_digest: Text,
    passphrase: Text = "",
) -> Response:
    record = pages.reviewing.get(identifier)
    try:
        with pages.deciding(session, form_token):
            share_log(pages.site, identifier, session.steward, passphrase, shown=shown, plan_digest=plan_digest)
    except SynthemaError as error:
        return request_page(pages, record, session, error)
    return go_to(f"/requests/{identifier}#log")
