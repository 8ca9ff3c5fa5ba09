"""What a Plan's code put out here: look at the numbers, and clear or withhold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import APIRouter
from fastapi.responses import Response

from synthema_core.analyses.diffprivlib_model import NO_GUARANTEE
from synthema_core.errors import NotFound, SynthemaError
from synthema_core.request import Status
from synthema_core.request_record import RequestRecord
from synthema_datasite.pages.output_view import views_of
from synthema_datasite.pages.request_view import history_of, powers_of
from synthema_datasite.pages.sessions import Session
from synthema_datasite.pages.shared import Here, LoggedIn, Pages, Text, Texts, go_to
from synthema_datasite.service.approvals import left_out
from synthema_datasite.service.code_reading import question_of, read_code
from synthema_datasite.service.log_sharing import log_digest, shared_log
from synthema_datasite.service.staging import staged_output

routes = APIRouter()
_RANKS: Mapping[str, int] = {"serious": 0, "look": 1, "note": 2}


def output_page(
    pages: Pages,
    record: RequestRecord,
    session: Session,
    error: SynthemaError | None = None,
    typed: Mapping[str, str] | None = None,
    ticked: Sequence[str] | None = None,
) -> Response:
    """The whole page; ticked is what the checks suggest, unless a form said otherwise."""
    staged, gone = staged_output(pages.site, record), left_out(record)
    question, facts = question_of(record.plan), pages.site.facts(pages.site.journal)
    chosen = staged.suggestion if ticked is None else ticked
    return pages.render(
        "output.html",
        session,
        400 if error else 200,
        record=record,
        staged=staged,
        outputs=views_of(staged, chosen, gone),
        findings=sorted(staged.findings, key=lambda finding: _RANKS.get(str(finding["severity"]), 9)),
        gone=gone,
        code=None if question is None else read_code(question, facts, len(record.plan.sites), None),
        no_guarantee=NO_GUARANTEE,
        history=history_of(record),
        powers=powers_of(pages.site, record, session.steward),
        waits=record.request.status is Status.STAGED,
        log_digest=log_digest(staged.log),
        log_is_shared=shared_log(pages.site.journal, record.request.id) is not None,
        error=error,
        typed=typed or {"reason": "", "more": ""},
    )


@routes.get("/requests/{identifier}/output")
def show(identifier: str, pages: Here, session: LoggedIn) -> Response:
    return output_page(pages, pages.reviewing.get(identifier), session)


@routes.post("/requests/{identifier}/output")
def decide(
    identifier: str,
    pages: Here,
    session: LoggedIn,
    form_token: Text,
    decision: Text,
    output: Text,
    plan_digest: Text,
    redacted: Texts,
    more: Text = "",
    reason: Text = "",
    passphrase: Text = "",
) -> Response:
    record = pages.reviewing.get(identifier)
    named = [*redacted, *more.split()]
    by = (identifier, session.steward, passphrase)
    try:
        with pages.deciding(session, form_token):
            if decision == "clear":
                pages.clearing.clear(*by, output=output, redacted=named, reason=reason, plan_digest=plan_digest)
            elif decision == "withhold":
                pages.clearing.withhold(*by, reason, output=output, plan_digest=plan_digest)
            else:
                raise NotFound(f"There is no decision '{decision}'.")
    except SynthemaError as error:
        return output_page(pages, record, session, error, {"reason": reason, "more": more}, redacted)
    return go_to(f"/requests/{identifier}/output")
