"""A real federation service in a temporary folder, as far as one process goes: state, Journal, routes, three sites.

Flower and JupyterHub, which the service asks, are fakes that do as they are told.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jupyterhub.services.auth import check_scopes
from tornado.web import HTTPError

from support.builders import KEYS, NOW, SITES, Ticking, at, card, days_later, plan
from support.code import SUMMED, aggregate, code_plan
from synthema_core import moments
from synthema_core.clearance import Clearance
from synthema_core.errors import Unavailable
from synthema_core.identity import public_key
from synthema_core.joining import Joining
from synthema_core.plan import Plan
from synthema_core.request import Status
from synthema_core.request_record import RequestRecord
from synthema_core.review import Review, Verdict
from synthema_core.signed_request import headers_for
from synthema_core.sqlite_journal import SqliteJournal
from synthema_hub.service.app import make_app
from synthema_hub.service.login import Login
from synthema_hub.service.membership import invite as record_invitation
from synthema_hub.service.wiring import wire_federation
from synthema_hub.state import HubState

PREFIX = "/services/federation/"
CODE = "c0de" * 8
ACCESS = "access:services!service=federation"
READ, SUBMIT, REVIEW, OPERATE = (f"custom:federation:{what}" for what in ("read", "submit", "review", "operate"))
#: What JupyterHub says of each person: the scopes of the group, spelled out.
PEOPLE = {
    "rosalind": (ACCESS, READ, SUBMIT),
    "john": (ACCESS, READ, SUBMIT),
    "maria": (ACCESS, READ, REVIEW),
    "olga": (ACCESS, READ, OPERATE),
    "guest": (ACCESS,),
    "outsider": (READ, SUBMIT, REVIEW, OPERATE),
}
STEWARDS = {site: Ed25519PrivateKey.from_private_bytes(f"steward-{site}".encode().ljust(32, b"0")) for site in KEYS}
OUTCOME: dict[str, Any] = {
    "result": {"kind": "histogram", "title": "Patients"},
    "noise_standard_deviation": None,
    "rounds": 2,
    "quantisation_error": 0.5,
    "missing": {},
    "cumulative": {},
}
#: The same of the sum of `support.code.aggregate`.
SUM: dict[str, Any] = {
    "result": {
        "kind": "code-aggregate",
        "title": "Code on all rows, with a release decision",
        "outputs": [
            {"name": output.name, "shape": list(output.shape), "values": [7.0] * output.length}
            for output in SUMMED.outputs
        ],
    },
    "noise_standard_deviation": None,
    "rounds": 1,
    "quantisation_error": 0.0,
    "missing": {},
    "cumulative": {},
}


class FakeFlower:
    """A NodeRegistry and RunStarter in memory; `asleep` nodes are not connected, `is_away` is a dead SuperLink.

    `troubles` are raised by the next calls, whatever they are.
    """

    def __init__(self) -> None:
        self.nodes: dict[str, int] = {}
        self.asleep: set[str] = set()
        self.runs: dict[int, dict[str, str]] = {}
        self.ended: set[int] = set()
        self.is_away = False
        self.troubles: list[Exception] = []

    def register_node(self, public_key: str, name: str) -> int:
        return self.nodes.setdefault(public_key, 2**63 + len(self.nodes))

    def online_nodes(self) -> frozenset[int]:
        self._answer()
        return frozenset(node for key, node in self.nodes.items() if key not in self.asleep)

    def start_run(self, config: Mapping[str, str]) -> int:
        self._answer()
        self.runs[len(self.runs) + 1] = dict(config)
        return len(self.runs)

    def has_ended(self, run: int) -> bool:
        self._answer()
        return run in self.ended

    def _answer(self) -> None:
        if self.troubles:
            raise self.troubles.pop()
        if self.is_away:
            raise Unavailable("The SuperLink did not do as asked.")


class FakeHubOAuth:
    """JupyterHub's word about a token (here: the person's name) and about a login's code."""

    access_scopes = frozenset({ACCESS})
    oauth_client_id = "service-federation"
    oauth_redirect_uri = f"{PREFIX}oauth_callback"
    oauth_authorization_url = "/hub/api/oauth2/authorize"

    def __init__(self) -> None:
        self.codes: dict[str, str] = {}
        self.is_away = False

    async def user_for_token(self, token: str, *, sync: bool) -> dict[str, Any] | None:
        if self.is_away:
            raise HTTPError(502)
        return {"name": token, "groups": [], "scopes": PEOPLE[token]} if token in PEOPLE else None

    async def token_for_code(self, code: str, *, sync: bool) -> str:
        if code not in self.codes:
            raise HTTPError(403)
        return self.codes[code]

    def check_scopes(self, required: Any, user: Mapping[str, Any]) -> Any:
        return check_scopes(required, set(user["scopes"]))


def joining(site: str, code: str = CODE, **changes: str) -> Joining:
    """What the site sends to join; `changes` come after its signature."""
    honest = Joining(site, f"{site.title()} Hospital", public_key(KEYS[site]), f"node-{site}", code)
    return replace(honest.signed(KEYS[site]), **changes)


def output_of(site: str) -> str:
    """A commitment to what that site has staged."""
    return (site.encode().hex() + "d" * 64)[:64]


class TrialHub:
    """The hub, and what people, sites and its own coordinator send to it."""

    def __init__(
        self, folder: Path, sites: tuple[str, ...] = SITES, *, now: datetime = NOW, flower: FakeFlower | None = None
    ) -> None:
        self.clock, self.flower, self.oauth = Ticking(now), flower or FakeFlower(), FakeHubOAuth()
        self.state = HubState.initialise(folder / "hub")
        self.federation = wire_federation(self.state, self.flower, "http://service", self.clock)
        self.app = make_app(self.federation, Login(self.oauth, PREFIX))  # type: ignore[arg-type]
        self.journal = SqliteJournal(self.state.journal_path)
        self._nonces = count()
        for site in sites:
            self.invite(site)
            self.federation.membership.join(joining(site))
            self.announce(site)
            self.federation.membership.saw(site)

    def invite(self, site: str, code: str = CODE) -> None:
        record_invitation(self.journal, site, "olga", self.clock(), code)

    def announce(self, site: str, **changes: Any) -> None:
        stewards = {f"steward-{site}": public_key(STEWARDS[site])}
        whole = {"cards": [card(site).to_dict()], "stewards": stewards, "page": f"https://{site}.example/", **changes}
        self.federation.membership.announce(site, **whole)

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One HTTP exchange with the service's own port."""

        async def exchange() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, **more)

        return asyncio.run(exchange())

    def person(self, name: str, method: str, path: str, **more: Any) -> httpx.Response:
        """A notebook's call with a token."""
        headers = {"authorization": f"Bearer {name}", **more.pop("headers", {})}
        return self.call(method, PREFIX + path, headers=headers, **more)

    def browser(self, name: str, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        """A browser's call with the login's cookie."""
        sent = {"accept": "text/html", "cookie": f"synthema-federation={name}", **headers}
        return self.call(method, PREFIX + path, headers=sent)

    def site(self, site: str, method: str, path: str, body: Any = None, **changes: str) -> httpx.Response:
        """A call that `site` signed; `changes` replace headers afterwards."""
        content = b"" if body is None else json.dumps(body).encode()
        nonce = f"nonce-{next(self._nonces)}"
        headers = headers_for(KEYS[site], site, method, path, content, self.clock(), nonce)
        return self.call(method, path, content=content, headers={**headers, **changes})

    def coordinator(self, method: str, path: str, token: str | None = None, **more: Any) -> httpx.Response:
        offered = self.state.job_token() if token is None else token
        return self.call(method, f"/internal/jobs/{path}", headers={"authorization": f"Bearer {offered}"}, **more)

    def submitted(self, made: Plan | None = None, name: str = "km", *, received: bool = True) -> str:
        """A Request of its Plan's requester; its id."""
        made = made or plan()
        cards = self.federation.membership.cards()
        request = self.federation.requests.submit(made, name, made.requester, cards)
        for site in made.sites if received else ():
            self.federation.mirror.receive(request, site)
        return request

    def review(self, request: str, site: str, /, **changes: Any) -> Review:
        """The Review of that site's own steward; `changes` are made before `key` signs."""
        key = changes.pop("key", STEWARDS[site])
        whole: dict[str, Any] = {
            "request": request,
            "plan_digest": self.record(request).plan.digest,
            "site": site,
            "steward": f"steward-{site}",
            "verdict": Verdict.APPROVED,
            "reason": "",
            "decided_at": moments.spell(self.clock()),
            "expires_at": at(20),
        }
        return Review(**{**whole, **changes}).signed(key)

    def reviewed(self, request: str, site: str, /, **changes: Any) -> httpx.Response:
        return self.site(site, "POST", "/sites/reviews", self.review(request, site, **changes).to_dict())

    def approved(self, made: Plan | None = None) -> str:
        request = self.submitted(made)
        for site in self.record(request).plan.sites:
            assert self.reviewed(request, site).status_code == 200
        return request

    def running(self, made: Plan | None = None) -> tuple[str, str]:
        """A Request that runs, and its Job."""
        request = self.approved(made)
        self.federation.jobs.tend()
        job = self.record(request).job
        assert job is not None
        return request, job

    def computing(self, made: Plan | None = None) -> str:
        """A Request whose code the sites run now, each on its own."""
        request = self.approved(made or code_plan(aggregate()))
        self.federation.jobs.tend()
        assert self.status(request) is Status.RUNNING
        return request

    def stages(self, request: str, site: str, commitment: str = "") -> httpx.Response:
        """The site says that its output waits."""
        body = {"commitment": commitment or output_of(site), "at": moments.spell(self.clock())}
        return self.site(site, "POST", f"/sites/requests/{request}/staged", body)

    def staged(self, made: Plan | None = None) -> str:
        """A Request whose output waits at every site."""
        request = self.computing(made)
        for site in self.record(request).plan.sites:
            assert self.stages(request, site).status_code == 200
        return request

    def clearance(self, request: str, site: str, /, **changes: Any) -> Clearance:
        """The release decision of that site's own steward; `changes` are made before `key` signs."""
        key = changes.pop("key", STEWARDS[site])
        whole: dict[str, Any] = {
            "request": request,
            "plan_digest": self.record(request).plan.digest,
            "site": site,
            "steward": f"steward-{site}",
            "output": output_of(site),
            "cleared": True,
            "reason": "",
            "decided_at": moments.spell(self.clock()),
        }
        return Clearance(**{**whole, **changes}).signed(key)

    def clears(self, request: str, site: str, /, **changes: Any) -> httpx.Response:
        return self.site(site, "POST", "/sites/clearances", self.clearance(request, site, **changes).to_dict())

    def cleared(self, made: Plan | None = None) -> str:
        request = self.staged(made)
        for site in self.record(request).plan.sites:
            assert self.clears(request, site).status_code == 200
        return request

    def record(self, request: str) -> RequestRecord:
        return self.federation.requests.get(request)

    def status(self, request: str) -> Status:
        return self.record(request).request.status

    def view(self, request: str, name: str = "rosalind") -> dict[str, Any]:
        return dict(self.person(name, "GET", f"api/requests/{request}").json())

    def later(self, days: float) -> None:
        """Time goes by; the sites keep calling."""
        self.clock.now = days_later(days)
        for member in self.federation.membership.sites():
            self.federation.membership.saw(member.name)
