"""What a researcher does with a federation, as use cases: plan, rehearse, submit, follow, read, withdraw, ask again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from synthema_core.errors import NotFound, Refused, RoundFailed, SynthemaError, Unavailable, from_wire
from synthema_core.request import Status
from synthema_kernel.client import FederationClient, View, has_ended
from synthema_kernel.progress import spoken, standing
from synthema_kernel.question import Question
from synthema_kernel.settings import Settings

if TYPE_CHECKING:
    from synthema_core.card import Card
    from synthema_core.cohort import Cohort
    from synthema_core.plan import Plan
    from synthema_core.release import Release
    from synthema_core.sandbox.port import Backend
    from synthema_core.schemas import Schema
    from synthema_kernel.budget import SiteBudget, SiteOutlook
    from synthema_kernel.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A Plan that was tried on Mocks.

    Parameters
    ----------
    rounds
        Rounds the trial took.
    failure
        Why the trial gave no result; None if it did. Mocks are random, so a model that finds no answer on them
        may find one on patients: such a Plan can still be submitted.
    evidence
        Of code: findings, and its trial in the sandbox instead of Rounds.
    before
        The Plan it supersedes.
    leaves
        What a private one would leave of each site's Budget.
    """

    name: str
    plan: Plan
    schema: Schema
    rounds: int
    failure: SynthemaError | None = None
    evidence: Evidence | None = None
    before: Plan | None = None
    leaves: Sequence[SiteOutlook] = ()


def _now() -> datetime:
    return datetime.now(UTC)


def _choose_backend() -> Backend:
    from synthema_core.sandbox.choose import choose_backend

    return choose_backend()


class Session:
    """One researcher's conversation with one federation. Remembers the last Request of each name.

    Parameters
    ----------
    clock
        The present moment, with its time zone.
    choose
        Finds the sandbox in which code is tried; asked once, for it takes a moment.
    """

    def __init__(
        self,
        client: FederationClient,
        clock: Callable[[], datetime] = _now,
        choose: Callable[[], Backend] = _choose_backend,
    ) -> None:
        self.client = client
        self._clock = clock
        self._choose = cache(choose)
        self._requests: dict[str, str] = {}
        self._last = ""

    def cards(self, dataset: str = "") -> list[Card]:
        """All Cards, or those of one dataset (NotFound, with the names there are)."""
        cards = self.client.cards()
        if not dataset:
            return cards
        from synthema_core.planning import select_cards

        return select_cards(cards, dataset)

    def plan(self, question: Question) -> Rehearsed:
        """Make the Plan of a question and try it on Mocks; nothing is submitted.

        Raises
        ------
        NotFound, InvalidInput, InvalidPlan
            What is wrong with the question.
        """
        from synthema_core.planning import make_plan, plan_of, select_cards

        cards = select_cards(self.client.cards(), question.dataset, question.sites)
        before = self.plan_named(question.supersedes) if question.supersedes else None
        terms: Any = {
            "requester": self.client.me(),
            "purpose": question.purpose,
            "now": self._clock(),
            "epsilon": question.epsilon,
            "delta": question.delta,
            "insiders": question.insiders,
            "standard_error": question.standard_error,
            "supersedes": before.digest if before else "",
        }
        plan = (
            plan_of(question.ask(cards), cards, cohort=_cohort(question, cards), **terms)
            if question.ask
            else make_plan(question.analysis, question.options, cards, **_asked(question), **terms)
        )
        tried = self._tried(question.request_name, plan, cards[0].schema)
        return replace(tried, before=before, leaves=self._leaves(plan, cards))

    def _leaves(self, plan: Plan, cards: Sequence[Card]) -> Sequence[SiteOutlook]:
        """What a Plan that costs something would leave of each site's Budget."""
        from synthema_core.analyses import from_plan
        from synthema_core.charging import declared_epsilon
        from synthema_kernel.budget import outlooks

        if declared_epsilon(plan, from_plan(plan.analysis, plan.parameters)) is None:
            return ()
        return outlooks(plan, self.client.budgets(plan.participants[0].dataset, plan.purpose), cards)

    def budgets(self, dataset: str = "") -> list[SiteBudget]:
        """Where the Budgets stand, of one dataset (NotFound, if no site has told one) or of all."""
        found = self.client.budgets(dataset)
        if dataset and not found:
            raise NotFound(f"No site has told a budget of a dataset '{dataset}'.", "See `%fed catalogue`.")
        return found

    def _tried(self, name: str, plan: Plan, schema: Schema) -> Rehearsed:
        from synthema_core.analyses import from_plan
        from synthema_core.code.declaration import AnyShape
        from synthema_core.rehearsal import rehearse

        question = from_plan(plan.analysis, plan.parameters)
        if isinstance(question, AnyShape):
            from synthema_kernel.evidence import gather

            return Rehearsed(name, plan, schema, 1, evidence=gather(question, schema, len(plan.sites), self._choose))
        try:
            _, rounds = rehearse(plan, schema)
        except RoundFailed as error:
            return Rehearsed(name, plan, schema, 0, error)
        return Rehearsed(name, plan, schema, rounds)

    def submit(self, rehearsed: Rehearsed) -> View:
        """Submit a Plan that was tried; returns at once."""
        view = self.client.submit(rehearsed.plan, rehearsed.name)
        self._last = self._requests[rehearsed.name] = str(view["id"])
        return view

    def answer_to(self, rehearsed: Rehearsed) -> Release | None:
        """The stored answer to the question, if the caller has one; its Request becomes the last one of that name."""
        found = self.client.answer_to(rehearsed.plan.question_digest)
        if found is None:
            return None
        view, release = found
        self._last = self._requests[rehearsed.name] = str(view["id"])
        return release

    def plan_named(self, name: str = "") -> Plan:
        """The Plan of a Request: all that reviewers see, with its code."""
        return self.client.plan(self.identifier(name))

    def superseded_by(self, plan: Plan) -> Plan | None:
        """The Plan of the caller's that this one supersedes, if there is one."""
        views = self.mine() if plan.supersedes else []
        return next(
            (self.client.plan(view["id"]) for view in views if view["plan_digest"] == plan.supersedes),
            None,
        )

    def mine(self) -> list[View]:
        """The caller's own Requests, newest first."""
        me = self.client.me()
        return [view for view in self.client.requests() if view["requester"] == me]

    def identifier(self, name: str = "") -> str:
        """The id of the Request of that name (the newest) or id; without one, of the last Request."""
        known = self._requests.get(name) if name else self._last
        if known:
            return known
        views = self.mine()
        for view in views:
            if not name or name in (view["name"], view["id"]):
                return str(view["id"])
        if not name:
            raise NotFound("You have no request yet.", "Begin with `%fed run`; see `%fed help`.")
        names = ", ".join(dict.fromkeys(view["name"] for view in views))
        raise NotFound(f"You have no request '{name}'.", f"You have {names}." if names else "Begin with `%fed run`.")

    def request(self, name: str = "") -> View:
        return self.client.request(self.identifier(name))

    def answer(self, name: str, text: str) -> View:
        return self.client.answer(self.identifier(name), text)

    def log(self, name: str) -> list[View]:
        return self.client.log(self.identifier(name))

    def release(self, name: str = "") -> Release:
        """The Release of a Request; raises what ended the Request if it ended without one."""
        view = self.request(name)
        check_not_ended_without_release(view)
        return self.client.release(str(view["id"]))

    def withdraw(self, name: str) -> View:
        return self.client.withdraw(self.identifier(name))

    def wait(self, name: str, seconds: float, report: Callable[[View], None]) -> View:
        """Block until the Request is released, telling `report` every change.

        Raises
        ------
        Unavailable
            After `seconds` without an end.
        SynthemaError
            What ended the Request without a Release.
        """
        identifier = self.identifier(name)
        deadline = time.monotonic() + seconds
        view: View = {}
        for view in self.client.events(identifier, pause=_until(deadline), deadline=deadline):
            report(view)
            if has_ended(view):
                check_not_ended_without_release(view)
                return view
        label = view.get("name") or identifier
        raise Unavailable(
            f"The request '{label}' has not ended within {seconds:g} seconds: it is {spoken(view.get('status'))}.",
            "It goes on without this notebook; come back with `%fed follow`.",
        )


def _cohort(question: Question, cards: Sequence[Card]) -> Cohort:
    from synthema_core.cohort import Cohort

    return Cohort.read(question.where, question.derive, cards[0].schema)


def _asked(question: Question) -> dict[str, Any]:
    return {"exact": question.exact, "where": question.where, "derive": question.derive}


def _until(deadline: float) -> Callable[[float], bool]:
    def pause(seconds: float) -> bool:
        left = deadline - time.monotonic()
        time.sleep(max(0.0, min(seconds, left)))
        return left <= seconds

    return pause


def check_not_ended_without_release(view: Mapping[str, Any]) -> None:
    """Raise what ended a Request without a result: its failure, a rejection with its reason, a withdrawal."""
    status, name = view["status"], view["name"] or view["id"]
    if status == Status.FAILED and view.get("failure"):
        raise from_wire(view["failure"])
    if status == Status.REJECTED:
        said = next((site for site in view["sites"] if site["verdict"] == "rejected"), None)
        who = f" by {said['site']}" if said else ""
        why = f": {said['reason'].rstrip('.')}" if said and said["reason"] else ""
        message = f"The request '{name}' was rejected{who}{why}."
        raise Refused(message, "Nothing ran; change the question and ask again.", rule="review")
    if status == Status.WITHHELD:
        raise Refused(f"The request '{name}': {standing(view)}.", "Ask for less, and again.", rule="release")
    if has_ended(view) and status != Status.RELEASED:
        raise NotFound(f"The request '{name}' has no result: it is {spoken(status)}.", "Submit it again.")


def open_session() -> Session:
    """The session of this notebook, from the address and token that the hub gave it.

    Raises
    ------
    Unavailable
        If the hub gave none.
    """
    settings = Settings.from_environment(os.environ)
    return Session(FederationClient(settings.federation_url, settings.token))
