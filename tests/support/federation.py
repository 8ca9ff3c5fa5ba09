"""A federation service inside the test: the researchers' routes behind httpx's transport seam.

It answers with the hub's own views over Requests that really go through the life cycle; what data owners, sites and
the coordinator would do, the test does by calling it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import numpy as np

from support.builders import ENGINE, SITES, at, card
from synthema_core.analyses import find, from_plan
from synthema_core.analyses.base import Patients, Rows, Sums
from synthema_core.analyses.conduct import conduct
from synthema_core.code.questions import CodeQuestion
from synthema_core.errors import InvalidInput, NotAuthenticated, NotFound, SynthemaError, TransitionDenied, to_wire
from synthema_core.plan import Plan
from synthema_core.public_budget import PublicBudget
from synthema_core.release import Release, guarantee_of
from synthema_core.request import TERMINAL, Event, Request, Role, Status, Verb, decide, fold
from synthema_core.request_record import RequestRecord
from synthema_hub.service.budget_view import budget_view, own_requests
from synthema_hub.service.stored_answers import own_answer
from synthema_hub.service.views import request_view, trail_view

URL, TOKEN, RESEARCHER = "http://127.0.0.1:9/services/federation", "a-token", "rosalind"
_PREFIX = "/services/federation/api"
_STATUS = {NotAuthenticated: 401, NotFound: 404, TransitionDenied: 409, InvalidInput: 422}


def patients(seed: int, number: int = 80) -> Rows:
    """Invented patients of the small trial, as a site's engine reads them."""
    dice = np.random.default_rng(seed)
    return {
        "days": dice.uniform(1, 990, number).round(),
        "died": (dice.random(number) < 0.6).astype(float),
        "age": dice.uniform(20, 80, number).round(),
        "arm": dice.choice(["a", "b"], number),
    }


def answer(analysis: str, options: Mapping[str, str], noise: float = 0.0, schema: Any = None) -> dict[str, Any]:
    """The result of a question to the invented patients of three sites; noise in units of its first block."""
    question = find(analysis).from_options(options, schema or card("alder").schema)
    return _conduct(question, noise)


def _conduct(question: Any, noise: float) -> dict[str, Any]:
    dice = np.random.default_rng(1)

    def ask(_: int, values: Any) -> Sums:
        if isinstance(question, CodeQuestion):  # nothing here runs code
            total = np.zeros(question.layout.length)
        else:
            sites = [patients(seed) for seed, _ in enumerate(SITES)]
            total = sum(question.contribution(rows, values, Patients.one_a_row(rows)) for rows in sites)
        blocks = question.layout.blocks
        steps = noise * 2.0 ** blocks[0].fractional_bits
        parts = np.split(total, np.cumsum([block.length for block in blocks])[:-1])
        noisy = {
            block.name: part + dice.normal(0, steps, block.length).round() * 2.0**-block.fractional_bits
            for block, part in zip(blocks, parts, strict=True)
        }
        return Sums(noisy, len(SITES), steps**2, min_patients=5)

    return conduct(question, ask)[0].result


class FakeFederation(httpx.BaseTransport):
    """Holds Requests of one researcher.

    Attributes
    ----------
    script
        What happens while somebody listens to a Request's events: each step is done after one more event was sent.
    breaks
        How often the event stream still breaks before it holds.
    away
        Whether nothing answers at all.
    shared
        What stewards have shared of each Request's logs.
    budgets
        What sites have told of theirs: (site, standing).
    """

    def __init__(self) -> None:
        self.records: dict[str, RequestRecord] = {}
        self.script: list[Callable[[], None]] = []
        self.breaks = 0
        self.away = False
        self.progress: dict[str, Any] | None = None
        self.offered = [card(site) for site in SITES]
        self.calls: list[str] = []
        self.shared: dict[str, list[dict[str, str]]] = {}
        self.budgets: list[tuple[str, PublicBudget]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix(_PREFIX)
        self.calls.append(f"{request.method} {path}")
        if self.away:
            raise httpx.ConnectError("refused", request=request)
        try:
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                raise NotAuthenticated("There is no valid hub token with this call.", "Log in to the hub again.")
            return self._route(request, path.strip("/").split("/"))
        except SynthemaError as error:
            return httpx.Response(_STATUS.get(type(error), 500), json=to_wire(error))

    def _route(self, request: httpx.Request, path: list[str]) -> httpx.Response:
        match (request.method, *path):
            case ("GET", "me"):
                return httpx.Response(200, json={"name": RESEARCHER, "groups": ["researcher"], "scopes": []})
            case ("GET", "sites"):
                return httpx.Response(200, json=[self._site(site) for site in SITES])
            case ("GET", "catalogue"):
                return httpx.Response(200, json=[offer.to_dict() for offer in self.offered])
            case ("GET", "budgets"):
                return httpx.Response(200, json=self._budgets(request.url.params))
            case ("GET", "answers", digest):
                return httpx.Response(200, json=self._answer_to(digest))
            case ("GET", "requests"):
                return httpx.Response(200, json=[self.view(identifier) for identifier in reversed(self.records)])
            case ("POST", "requests"):
                return httpx.Response(201, json=self._submit(json.loads(request.read())))
            case (method, "requests", identifier, *rest):
                return self._of_request(request, method, identifier, "/".join(rest))
        raise NotFound("There is no such route.")

    def _of_request(self, request: httpx.Request, method: str, identifier: str, part: str) -> httpx.Response:
        record = self._record(identifier)
        match (method, part):
            case ("GET", ""):
                more = {"plan": record.plan.to_dict(), "trail": trail_view(record)}
                return httpx.Response(200, json={**self.view(identifier), **more})
            case ("GET", "plan"):
                return httpx.Response(200, json=record.plan.to_dict())
            case ("POST", "answer"):
                detail = {"text": json.loads(request.read())["text"]}
                self._do(identifier, Verb.ANSWER, RESEARCHER, Role.RESEARCHER, detail=detail)
                return httpx.Response(200, json=self.view(identifier))
            case ("GET", "log"):
                return httpx.Response(200, json=self.shared.get(identifier, []))
            case ("POST", "withdrawal"):
                self._do(identifier, Verb.WITHDRAW, RESEARCHER, Role.RESEARCHER)
                return httpx.Response(200, json=self.view(identifier))
            case ("GET", "release"):
                return httpx.Response(200, json=self._release(identifier))
            case ("GET", "events"):
                stream = _Stream(self._events(identifier))
                return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=stream)
        raise NotFound("There is no such route.")

    def _site(self, site: str) -> dict[str, Any]:
        offers = [f"{offer.dataset} (version {offer.version})" for offer in self.offered if offer.site == site]
        about = {"site": site, "title": site.title(), "identity": card(site).identity}
        return {**about, "online": True, "datasets": offers}

    def _submit(self, body: Mapping[str, Any]) -> dict[str, Any]:
        plan = Plan.from_dict(body["plan"])
        identifier = f"r{len(self.records) + 1}"
        request = Request(identifier, plan.requester, frozenset(plan.sites), plan.expires_at)
        self.records[identifier] = RequestRecord(request, plan, body["name"], ())
        self._do(identifier, Verb.SUBMIT, plan.requester, Role.RESEARCHER)
        return self.view(identifier)

    def _budgets(self, asked: Mapping[str, str]) -> list[dict[str, Any]]:
        mine = own_requests(self.records.values(), RESEARCHER)
        return [
            budget_view(site, told, RESEARCHER, asked.get("purpose", ""), mine)
            for site, told in self.budgets
            if asked.get("dataset", "") in ("", *told.datasets)
        ]

    def _answer_to(self, question_digest: str) -> dict[str, Any]:
        record = own_answer(self.records.values(), RESEARCHER, question_digest)
        if record is None or record.released is None:
            raise NotFound("You have no answer to this question.")
        return {"request": record.request.id, "name": record.name, "release": record.released.detail["release"]}

    def _record(self, identifier: str) -> RequestRecord:
        if identifier not in self.records:
            raise NotFound(f"There is no request '{identifier}'.", "See `%fed status` for yours.")
        return self.records[identifier]

    def view(self, identifier: str) -> dict[str, Any]:
        return request_view(self._record(identifier), self.progress)

    def _do(self, identifier: str, verb: Verb, actor: str, role: Role, **more: Any) -> None:
        record = self._record(identifier)
        facts = decide(record.request, Event(verb, actor, role, at(0.1), **more))
        request = fold(record.request, facts)
        self.records[identifier] = RequestRecord(request, record.plan, record.name, (*record.events, *facts))

    def _release(self, identifier: str) -> dict[str, Any]:
        last = self._record(identifier).last(Verb.RELEASE)
        if last is None:
            status = self._record(identifier).request.status
            raise NotFound(f"The request '{identifier}' has no release: it is {status}.", "Wait with `%fed follow`.")
        return dict(last.detail["release"])  # type: ignore[arg-type]

    def _events(self, identifier: str) -> Iterator[bytes]:
        yield b": hello\n\n"
        while True:
            yield f"data: {json.dumps(self.view(identifier))}\n\n".encode()
            if self._record(identifier).request.status in TERMINAL:
                return
            if self.breaks:
                self.breaks -= 1
                raise httpx.ReadError("gone")
            if not self.script:
                raise httpx.ReadTimeout("silence")
            self.script.pop(0)()

    def receive(self, identifier: str) -> None:
        if self._record(identifier).request.status is Status.SUBMITTED:
            self._do(identifier, Verb.RECEIVE, SITES[0], Role.SITE, site=SITES[0])

    def ask(self, identifier: str, text: str) -> None:
        self.receive(identifier)
        self._do(identifier, Verb.ASK, "sam", Role.STEWARD, site=SITES[1], detail={"text": text})

    def stage(self, identifier: str) -> None:
        for site in SITES:
            self._do(identifier, Verb.STAGE, site, Role.SITE, site=site, detail={"output": "c" * 64})

    def clear(self, identifier: str, site: str, *, verdict: bool = True, reason: str = "") -> None:
        detail = {"reason": reason}
        actor = f"steward-{site}"
        self._do(identifier, Verb.CLEAR, actor, Role.STEWARD, site=site, verdict=verdict, detail=detail)

    def sum(self, identifier: str) -> None:
        self._do(identifier, Verb.SUM, "hub", Role.HUB, detail={"job": "j2", "run": "2"})

    def approve(self, identifier: str) -> None:
        self.receive(identifier)
        for site in SITES:
            self._do(identifier, Verb.REVIEW, f"steward-{site}", Role.STEWARD, site=site, verdict=True)

    def reject(self, identifier: str, reason: str) -> None:
        self.receive(identifier)
        detail = {"reason": reason}
        self._do(identifier, Verb.REVIEW, "sam", Role.STEWARD, site=SITES[1], verdict=False, detail=detail)

    def start(self, identifier: str) -> None:
        self._do(identifier, Verb.START, "hub", Role.HUB, detail={"job": "j1", "run": "1"})
        self.progress = {"round": 1, "max_rounds": 12, "text": "Round 1 of at most 12"}

    def fail(self, identifier: str, error: SynthemaError) -> None:
        self._do(identifier, Verb.FAIL, "hub", Role.HUB, detail={"failure": dict(to_wire(error))})

    def release(self, identifier: str) -> None:
        plan = self._record(identifier).plan
        noise = 3.0 if plan.privacy else 0.0
        result = _conduct(from_plan(plan.analysis, plan.parameters), noise)
        made = release_of(plan, result, request=identifier)
        self._do(identifier, Verb.RELEASE, "hub", Role.HUB, detail={"release": made.to_dict()})

    def run_to_release(self, identifier: str) -> None:
        for step in (self.approve, self.start, self.release):
            step(identifier)


def release_of(plan: Plan, result: Mapping[str, Any], request: str = "r1") -> Release:
    """An unsigned Release of that result."""
    return Release(
        id=f"release-{request}",
        request=request,
        job="j1",
        plan_digest=plan.digest,
        question_digest=plan.question_digest,
        purpose=plan.purpose,
        requester=plan.requester,
        result=result,
        guarantee=guarantee_of(plan, 3.0 if plan.privacy else None, exact_before=False),
        sites=plan.sites,
        datasets=("trial",),
        released_at=at(0.2),
        seconds=1.5,
        rounds=1,
        quantisation_error=1e-9,
        engine=ENGINE,
        cohort=plan.cohort,
    )


class _Stream(httpx.SyncByteStream):
    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks


@contextmanager
def served(federation: FakeFederation) -> Iterator[str]:
    """The federation over real HTTP on a free port of this machine; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            request = httpx.Request(self.command, URL.rpartition("/services")[0] + self.path, content=body)
            request.headers["authorization"] = self.headers.get("authorization", "")
            response = federation.handle_request(request)
            self.send_response(response.status_code)
            self.send_header("content-type", response.headers["content-type"])
            self.end_headers()
            for chunk in response.stream:  # type: ignore[union-attr]
                self.wfile.write(chunk)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/services/federation"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
