"""What sites say happened at theirs: checked, and recorded in the hub's Journal. A mirror; their own Journals decide.

Every call is idempotent. A verdict or release decision enters only as a statement that one of the site's stewards (or
the site itself, by policy) has signed over this very Request; the hub cannot make one, and no site another's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from synthema_core import moments
from synthema_core.analyses import from_plan
from synthema_core.canonical import Json
from synthema_core.clearance import Clearance
from synthema_core.code.failures import RunFailure
from synthema_core.code.references import check
from synthema_core.errors import IntegrityFailure, InvalidInput, NotFound, RoundFailed, TransitionDenied, to_wire
from synthema_core.plan import Plan
from synthema_core.request import TERMINAL, Event, Role, Status, Verb
from synthema_core.request_record import RequestRecord
from synthema_core.review import Review, Verdict
from synthema_core.staged import is_staged, outputs_of
from synthema_hub.service.records import SiteRecord
from synthema_hub.service.requests import Requests, checked_text

_COMMITMENT = re.compile(r"[0-9a-f]{64}")
_BEFORE_THE_SUM = frozenset({Status.RUNNING, Status.STAGED, Status.CLEARED})


class Mirror:
    """Takes in what `site` sent; the caller has checked that it did."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def receive(self, identifier: str, site: str) -> None:
        """The site has the Request."""

        def event(record: RequestRecord, now: str) -> Event | None:
            return None if site in record.request.received else Event(Verb.RECEIVE, site, Role.SITE, now, site)

        self._requests.record(identifier, event)

    def question(self, identifier: str, site: SiteRecord, steward: str, text: str, at: str) -> None:
        """A steward of the site asks the Request's author something."""
        _check_steward(site, steward)
        detail: dict[str, Json] = {"text": checked_text(text, "A question")}
        asked = Event(Verb.ASK, steward, Role.STEWARD, _moment(at), site.name, detail=detail)
        self._requests.record(identifier, lambda record, _: None if asked in record.events else asked)

    def review(self, review: Review, site: SiteRecord) -> None:
        """One steward's verdict on the Plan.

        Raises
        ------
        IntegrityFailure
            Unless one of the site's announced stewards (or the site itself, by policy) signed it, for this Plan.
        """
        record = self._requests.get(review.request)
        _check_about(review, site, record.plan, "Review")
        _check_signed(review, site, site.identity if review.by_policy else None)
        _check_references(review.without, record.plan)
        role = Role.SITE if review.by_policy else Role.STEWARD
        yes = review.verdict is Verdict.APPROVED
        event = Event(Verb.REVIEW, review.steward, role, review.decided_at, site.name, yes, review.to_dict())
        self._requests.record(review.request, _unless(event, lambda record: site.name in record.request.verdicts))

    def revocation(self, identifier: str, site: SiteRecord, steward: str, at: str) -> None:
        """A steward took the site's yes back, before the run or the sum began."""
        _check_steward(site, steward)
        revoked = Event(Verb.REVOKE, steward, Role.STEWARD, _moment(at), site.name)

        def event(record: RequestRecord, now: str) -> Event | None:
            if record.request.status in TERMINAL:
                return None
            if _takes_no_part(record, site.name):
                detail: dict[str, Json] = {"failure": _taken_back(site.name)}
                return Event(Verb.FAIL, site.name, Role.SITE, now, site.name, detail=detail)
            return revoked

        self._requests.record(identifier, event)

    def staged(self, identifier: str, site: str, commitment: str, at: str) -> None:
        """The site has run the code; what came out waits there, under this commitment."""
        if not _COMMITMENT.fullmatch(commitment):
            raise InvalidInput("A commitment to an output is 64 hexadecimal digits.")
        staged = Event(Verb.STAGE, site, Role.SITE, _moment(at), site, detail={"output": commitment})

        def event(record: RequestRecord, _: str) -> Event | None:
            _check_staged_first(record, site)
            known = staged_output(record, site)
            if known not in (None, commitment):
                raise IntegrityFailure(f"Another output of '{site}' waits already.")
            return None if known or record.request.status in TERMINAL else staged

        self._requests.record(identifier, event)

    def clearance(self, clearance: Clearance, site: SiteRecord) -> None:
        """One steward's decision on what the site has staged.

        Raises
        ------
        IntegrityFailure
            Unless one of the site's announced stewards signed it, for this Plan and the output that waits there.
        """
        record = self._requests.get(clearance.request)
        _check_about(clearance, site, record.plan, "Clearance")
        _check_signed(clearance, site)
        _check_staged_first(record, site.name)
        _check_references(clearance.redacted, record.plan)
        if staged_output(record, site.name) not in (None, clearance.output):
            raise IntegrityFailure(f"This Clearance is about another output than the one that waits at '{site.name}'.")
        event = Event(
            Verb.CLEAR,
            clearance.steward,
            Role.STEWARD,
            clearance.decided_at,
            site.name,
            clearance.cleared,
            clearance.to_dict(),
        )
        self._requests.record(clearance.request, _unless(event, lambda record: site.name in record.request.cleared))

    def failure(self, identifier: str, site: str, kind: str, at: str) -> None:
        """The run of code at the site failed, in one of a closed list of ways; no text of the run comes with it.

        Only of code with a release decision: of code with a guarantee, not even the kind may be told.
        """
        try:
            told = RunFailure(kind)
        except ValueError:
            raise InvalidInput("There is no such kind of failure.", f"There are {', '.join(RunFailure)}.") from None
        detail: dict[str, Json] = {"kind": told.value, "failure": dict(told.told(site))}
        failed = Event(Verb.FAIL, site, Role.SITE, _moment(at), site, detail=detail)

        def event(record: RequestRecord, _: str) -> Event | None:
            _check_staged_first(record, site)
            if record.request.status in TERMINAL:
                return None
            if record.request.status not in _BEFORE_THE_SUM:
                raise TransitionDenied(f"No code of the request {identifier} runs, which is {record.request.status}.")
            return failed

        self._requests.record(identifier, event)


def staged_output(record: RequestRecord, site: str) -> str | None:
    """The commitment to what waits at the site; None if nothing does."""
    for event in record.events:
        if event.verb is Verb.STAGE and event.site == site:
            return str(event.detail["output"])
    return None


def runs_before_sum(plan: Plan) -> bool:
    """Whether it has a release decision: it is run and staged at each site before anything is summed."""
    return is_staged(plan.analysis)


class _Statement(Protocol):
    @property
    def plan_digest(self) -> str: ...

    @property
    def site(self) -> str: ...

    @property
    def steward(self) -> str: ...

    def check_signature(self, public_key: str) -> None: ...


def _check_about(statement: _Statement, site: SiteRecord, plan: Plan, what: str) -> None:
    if statement.site != site.name or statement.plan_digest != plan.digest:
        raise IntegrityFailure(f"This {what} is about another site or another Plan.")


def _check_signed(statement: _Statement, site: SiteRecord, key: str | None = None) -> None:
    """By `key`, or else by the steward whom it names."""
    if key is None:
        _check_steward(site, statement.steward)
    statement.check_signature(key or site.stewards[statement.steward])


def _check_steward(site: SiteRecord, steward: str) -> None:
    if steward not in site.stewards:
        raise IntegrityFailure(f"'{steward}' is not a steward of '{site.name}'.")


def _check_references(references: tuple[str, ...], plan: Plan) -> None:
    """What a site leaves out must be there to be left out: a Release is made from it."""
    if not references:
        return
    outputs = outputs_of(from_plan(plan.analysis, plan.parameters))
    if outputs is None:
        raise IntegrityFailure("Only of code and models can outputs be left out.")
    try:
        check(references, outputs)
    except (InvalidInput, NotFound) as error:
        raise IntegrityFailure(f"What is left out cannot be found. {error}") from None


def _check_staged_first(record: RequestRecord, site: str) -> None:
    if not runs_before_sum(record.plan) or site not in record.plan.sites:
        raise TransitionDenied(f"The request {record.request.id} asks '{site}' for no release decision.")


def _takes_no_part(record: RequestRecord, site: str) -> bool:
    """Whether the others run code already that this site now never will."""
    asked = runs_before_sum(record.plan) and site in record.plan.sites
    return asked and record.request.status is Status.RUNNING and site not in record.request.staged


def _taken_back(site: str) -> dict[str, Json]:
    sentence = f"A steward of '{site}' took the approval back before the code ran there; nothing was released."
    return dict(to_wire(RoundFailed(sentence, "Ask there, and submit it again.")))


def _unless(event: Event, has_decided: Callable[[RequestRecord], bool]) -> Callable[[RequestRecord, str], Event | None]:
    """The event, unless the same statement is recorded already, its site has decided, or the Request has ended."""

    def make(record: RequestRecord, _: str) -> Event | None:
        known = event in record.events or has_decided(record) or record.request.status in TERMINAL
        return None if known else event

    return make


def _moment(text: str) -> str:
    """As Journals write it. Raises InvalidInput for what is none."""
    return moments.spell(moments.read(text))
