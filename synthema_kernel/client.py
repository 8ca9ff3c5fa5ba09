"""The federation service as Python calls. Every failure becomes an error of the SynthemaError tree."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx

from synthema_core.card import Card
from synthema_core.errors import (
    InvalidInput,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    SynthemaError,
    Unavailable,
    from_wire,
)
from synthema_core.plan import Plan
from synthema_core.release import Release
from synthema_core.request import TERMINAL
from synthema_kernel.budget import SiteBudget

_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_SILENCE_SECONDS = 45.0  # three of the service's heartbeats
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 5.0
_BY_STATUS: Mapping[int, type[SynthemaError]] = {
    401: NotAuthenticated,
    403: NotPermitted,
    404: NotFound,
    422: InvalidInput,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}

View = dict[str, Any]
"""A Request as the service shows it; see ``request_view`` of the hub."""
Pause = Callable[[float], bool]
"""Wait so many seconds; True means: stop, nobody listens any more."""


def has_ended(view: Mapping[str, Any]) -> bool:
    """Whether the Request will not change any more."""
    return view.get("status") in TERMINAL


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False


class FederationClient:
    """The researcher's side of the federation service's API.

    Parameters
    ----------
    url
        The service's address with its prefix.
    token
        A hub token with the scopes to read and to submit.
    transport
        The seam for tests: any ``httpx.BaseTransport``.
    """

    def __init__(self, url: str, token: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=f"{self.url}/api/",
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=_TIMEOUT,
            transport=transport,
            trust_env=False,
        )

    def close(self) -> None:
        self._http.close()

    def me(self) -> str:
        """The name under which the hub knows the token's owner."""
        return str(self._get("me")["name"])

    def sites(self) -> list[View]:
        return list(self._get("sites"))

    def cards(self) -> list[Card]:
        """The Card of every Dataset on offer; each one's signature is checked."""
        cards = [Card.from_dict(item) for item in self._get("catalogue")]
        for card in cards:
            card.check_signature()
        return cards

    def submit(self, plan: Plan, name: str) -> View:
        """Submit a Plan for review; nothing runs before every site has approved it."""
        return dict(self._call("POST", "requests", json={"plan": plan.to_dict(), "name": name}))

    def requests(self) -> list[View]:
        """The newest Requests that the token's owner may see, newest first."""
        return list(self._get("requests"))

    def request(self, identifier: str) -> View:
        """One Request with its Plan (``plan``) and its history (``trail``)."""
        return dict(self._get(f"requests/{_part(identifier)}"))

    def plan(self, identifier: str) -> Plan:
        """The Plan of a Request: everything that its reviewers decide on."""
        return Plan.from_dict(self._get(f"requests/{_part(identifier)}/plan"))

    def answer(self, identifier: str, text: str) -> View:
        """Answer a steward's question about a Request that is under review."""
        return dict(self._call("POST", f"requests/{_part(identifier)}/answer", json={"text": text}))

    def log(self, identifier: str) -> list[View]:
        """What stewards shared of a Request's runs at their sites."""
        return list(self._get(f"requests/{_part(identifier)}/log"))

    def budgets(self, dataset: str = "", purpose: str = "") -> list[SiteBudget]:
        """Where the sites' Budgets stand, of one dataset or all; with the purpose's own sum, if one is given."""
        path = f"budgets?dataset={_part(dataset)}&purpose={_part(purpose)}"
        return [SiteBudget.from_dict(item) for item in self._get(path)]

    def answer_to(self, question_digest: str) -> tuple[View, Release] | None:
        """The caller's own newest answer to a question, with its Request's id and name; None if there is none."""
        try:
            found = self._get(f"answers/{_part(question_digest)}")
        except NotFound:
            return None
        return {"id": found["request"], "name": found["name"]}, Release.from_dict(found["release"])

    def release(self, identifier: str) -> Release:
        """The Release of a Request. Raises NotFound while there is none."""
        return Release.from_dict(self._get(f"requests/{_part(identifier)}/release"))

    def withdraw(self, identifier: str) -> View:
        return dict(self._call("POST", f"requests/{_part(identifier)}/withdrawal"))

    def events(
        self,
        identifier: str,
        *,
        pause: Pause = _sleep,
        patience_seconds: float = 300.0,
        deadline: float = math.inf,
    ) -> Iterator[View]:
        """The Request's view now and at every change, until it has ended; a lost connection is made again.

        Parameters
        ----------
        pause
            How to wait between two attempts; returning True ends the iteration.
        patience_seconds
            How long the service may stay away before Unavailable is raised.
        deadline
            A moment of ``time.monotonic`` at which to stop listening, even while nothing happens.
        """
        lost_at, wait = None, _FIRST_PAUSE_SECONDS
        while True:
            try:
                for view in self._listen(identifier, deadline):
                    lost_at, wait = None, _FIRST_PAUSE_SECONDS
                    yield view
                    if has_ended(view):
                        return
            except Unavailable:
                lost_at = lost_at or time.monotonic()
                if time.monotonic() - lost_at > patience_seconds:
                    raise
            if pause(wait):
                return
            wait = min(wait * 2, _LONGEST_PAUSE_SECONDS)

    def _listen(self, identifier: str, deadline: float) -> Iterator[View]:
        path = f"requests/{_part(identifier)}/events"
        silence = max(0.1, min(_SILENCE_SECONDS, deadline - time.monotonic()))
        timeout = httpx.Timeout(silence, connect=5.0)
        with (
            self._mapping_failures(),
            self._http.stream("GET", path, headers={"Accept": "text/event-stream"}, timeout=timeout) as response,
        ):
            if response.status_code != httpx.codes.OK:
                response.read()
                raise _error_of(response)
            yield from read_events(_before(deadline, response.iter_lines()))

    def _get(self, path: str) -> Any:
        return self._call("GET", path)

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        with self._mapping_failures():
            response = self._http.request(method, path, **arguments)
        if not response.is_success:
            raise _error_of(response)
        try:
            return response.json()
        except ValueError:
            raise Unavailable(
                f"What answers at {self.url} is not a federation service.", "Ask the operator for its address."
            ) from None

    @contextmanager
    def _mapping_failures(self) -> Iterator[None]:
        try:
            yield
        except (httpx.TransportError, httpx.StreamError):
            raise Unavailable(
                f"The federation service at {self.url} does not answer.",
                "Try again in a moment; if it stays away, ask the operator whether the hub runs.",
            ) from None


def _part(identifier: str) -> str:
    return quote(identifier, safe="")


def _before(deadline: float, lines: Iterable[str]) -> Iterator[str]:
    """The lines until the deadline; a quiet stream is checked at the service's heartbeats."""
    for line in lines:
        if time.monotonic() > deadline:
            return
        yield line


def read_events(lines: Iterable[str]) -> Iterator[View]:
    """The JSON objects in a stream of server-sent events; comments and unfinished events are passed over."""
    data: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            yield json.loads("\n".join(data))
            data = []


def _error_of(response: httpx.Response) -> SynthemaError:
    """The error in a response: the service's own words, or what its status says if a proxy answered."""
    try:
        wire = response.json()
    except ValueError:
        wire = None
    if isinstance(wire, dict) and "error" in wire:
        return from_wire(wire)
    status = response.status_code
    if response.is_redirect:
        return NotAuthenticated("The hub asks for a login again.", "Restart this notebook's server from the hub.")
    cls = _BY_STATUS.get(status, SynthemaError)
    return cls(f"The federation service answered with HTTP status {status}.", "Ask the operator to look at its log.")
