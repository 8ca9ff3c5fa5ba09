"""What a researcher does with a federation, as use cases: plan, rehearse, submit, follow, read, withdraw."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from synthema_core.errors import InvalidInput, NotFound, Refused, RoundFailed, SynthemaError, Unavailable, from_wire
from synthema_core.request import Status
from synthema_kernel.client import FederationClient, View, has_ended
from synthema_kernel.settings import Settings

if TYPE_CHECKING:
    from synthema_core.card import Card
    from synthema_core.plan import Plan
    from synthema_core.release import Release
    from synthema_core.schemas import Schema

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


@dataclass(frozen=True, slots=True)
class Question:
    """What a researcher typed.

    Parameters
    ----------
    options
        The analysis's own options, as text.
    sites
        The sites to ask; empty for all that offer the dataset.
    epsilon, delta
        The cost of a private analysis; None for its defaults.
    name
        What to call the Request; empty for ``ANALYSIS-DATASET``.
    supersedes
        Name or id of the Request this one replaces; reviewers are shown what changed.
    """

    analysis: str
    dataset: str
    purpose: str
    options: Mapping[str, str] = field(default_factory=dict)
    sites: tuple[str, ...] = ()
    epsilon: float | None = None
    delta: float | None = None
    name: str = ""
    supersedes: str = ""

    def __post_init__(self) -> None:
        if self.name and not _NAME.fullmatch(self.name):
            raise InvalidInput(
                f"'{self.name}' cannot name a request.", "Use up to 80 letters, digits, dots, hyphens and underscores."
            )

    @property
    def request_name(self) -> str:
        return self.name or f"{self.analysis}-{self.dataset}"


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
    """

    name: str
    plan: Plan
    schema: Schema
    rounds: int
    failure: SynthemaError | None = None


def _now() -> datetime:
    return datetime.now(UTC)


class Session:
    """One researcher's conversation with one federation. Remembers the last Request of each name.

    Parameters
    ----------
    clock
        The present moment, with its time zone.
    """

    def __init__(self, client: FederationClient, clock: Callable[[], datetime] = _now) -> None:
        self.client = client
        self._clock = clock
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
        from synthema_core.planning import make_plan, select_cards
        from synthema_core.rehearsal import rehearse

        cards = select_cards(self.client.cards(), question.dataset, question.sites)
        plan = make_plan(
            question.analysis,
            question.options,
            cards,
            requester=self.client.me(),
            purpose=question.purpose,
            now=self._clock(),
            epsilon=question.epsilon,
            delta=question.delta,
            supersedes=str(self.request(question.supersedes)["plan_digest"]) if question.supersedes else "",
        )
        schema = cards[0].schema
        try:
            _, rounds = rehearse(plan, schema)
        except RoundFailed as error:
            return Rehearsed(question.request_name, plan, schema, 0, error)
        return Rehearsed(question.request_name, plan, schema, rounds)

    def submit(self, rehearsed: Rehearsed) -> View:
        """Submit a Plan that was tried; returns at once."""
        view = self.client.submit(rehearsed.plan, rehearsed.name)
        self._last = self._requests[rehearsed.name] = str(view["id"])
        return view

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


def _until(deadline: float) -> Callable[[float], bool]:
    def pause(seconds: float) -> bool:
        left = deadline - time.monotonic()
        time.sleep(max(0.0, min(seconds, left)))
        return left <= seconds

    return pause


def spoken(status: Any) -> str:
    """A status as people read it."""
    return str(status or "unknown").replace("_", " ")


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
