"""A federation of real processes on this machine, as a test uses it: by its verbs, its API and its files."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from synthema_core.cli.hub_login import RESEARCH_SCOPES, token_by_login_form
from synthema_core.cli.local_federation import RESEARCHER, LocalFederation, Person, Ports
from synthema_core.cli.processes import Children, run_verb
from synthema_core.errors import Unavailable
from synthema_core.request import TERMINAL
from synthema_core.request_record import RequestRecord, request_record
from synthema_core.sqlite_journal import SqliteJournal
from synthema_hub.federated.control import FlowerControl
from synthema_hub.state import HubState
from synthema_kernel.client import FederationClient
from synthema_kernel.session import Question, Session

_PATIENCE_SECONDS = 120.0
KAPLAN_MEIER = {"time": "t2", "event": "d3", "group": "group", "step": "90"}
COX = {"time": "t2", "event": "d3", "covariates": "z1,z2,group"}


def wait_for(ready: Callable[[], Any], what: str, seconds: float = _PATIENCE_SECONDS) -> Any:
    """What `ready` returns, once it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := ready():
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what} within {seconds:g} seconds")


class Running:
    """A hub and its sites. Tokens and journals are opened when asked for."""

    def __init__(self, local: LocalFederation, children: Children) -> None:
        self.local, self.children = local, children
        self.service = f"{local.url}/services/federation"
        self._guests: list[Person] = []
        self._asked_by: dict[str, str] = {}
        self._tokens: dict[tuple[str, tuple[str, ...]], str] = {}
        self._clients: dict[tuple[str, tuple[str, ...]], FederationClient] = {}

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    @property
    def sites(self) -> list[str]:
        return self.local.sites

    def person(self, name: str) -> Person:
        return next(person for person in (*self.local.people, *self._guests) if person.name == name)

    def add_researcher(self, name: str) -> Person:
        """One more than the federation began with."""
        guest = Person(name, "researcher", secrets.token_urlsafe(12))
        path = self.local.passphrase_file(guest)
        path.touch(mode=0o600)
        path.write_text(guest.password)
        words = ("--group", guest.group, "--password-file", str(path), "--state", str(self.local.hub_state))
        run_verb("hub", "account", name, *words)
        self._guests.append(guest)
        return guest

    def token(self, name: str = RESEARCHER, scopes: tuple[str, ...] = RESEARCH_SCOPES) -> str:
        if (name, scopes) not in self._tokens:
            token = token_by_login_form(self.local.url, name, self.person(name).password, scopes)
            self._tokens[name, scopes] = token
        return self._tokens[name, scopes]

    def session(self, name: str = RESEARCHER, scopes: tuple[str, ...] = RESEARCH_SCOPES) -> Session:
        if (name, scopes) not in self._clients:
            self._clients[name, scopes] = FederationClient(self.service, self.token(name, scopes))
        return Session(self._clients[name, scopes])

    def ask(self, analysis: str, dataset: str, options: dict[str, str], **more: Any) -> str:
        """Plan and submit as a researcher; the Request's id."""
        researcher = more.pop("researcher", RESEARCHER)
        session = self.session(researcher)
        question = Question(analysis, dataset, more.pop("purpose", f"A test of {analysis}"), options, **more)
        request = str(session.submit(session.plan(question))["id"])
        self._asked_by[request] = researcher
        return request

    def _client_of(self, request: str) -> FederationClient:
        return self.session(self._asked_by.get(request, RESEARCHER)).client

    def status(self, request: str) -> str:
        return str(self._client_of(request).request(request)["status"])

    def wait_until_ended(self, request: str, seconds: float = _PATIENCE_SECONDS) -> dict[str, Any]:
        """The Request's last view. A hub that is being restarted is waited for, too."""

        def has_ended() -> bool:
            with suppress(Unavailable):
                return self.status(request) in TERMINAL
            return False

        wait_for(has_ended, f"the request {request} had ended", seconds)
        return self._client_of(request).request(request)

    def state(self, site: str) -> Path:
        return self.local.site_state(site)

    def journal(self, site: str) -> SqliteJournal:
        return SqliteJournal(self.state(site) / "journal.sqlite")

    def record(self, site: str, request: str) -> RequestRecord:
        """The Request as that site's own Journal has it."""
        return request_record(self.journal(site), request, site)

    def has_received(self, site: str, request: str) -> bool:
        return bool(self.journal(site).entries(f"request/{request}"))

    def review(self, site: str, verb: str, request: str, *words: str) -> str:
        """The site's steward decides, by the real verb."""
        wait_for(lambda: self.has_received(site, request), f"'{site}' had received the request {request}")
        owner = self.person(f"owner-{site}")
        by = ("--steward", owner.name, "--passphrase-file", str(self.local.passphrase_file(owner)))
        return run_verb("datasite", "review", verb, request, *by, "--state", str(self.state(site)), *words)

    def approve(self, request: str, sites: Sequence[str] = ()) -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda site: self.review(site, "approve", request), sites or self.sites))

    def released(self, request: str, sites: Sequence[str] = ()) -> dict[str, Any]:
        """Approved by all sites that are asked, run, and its result."""
        self.approve(request, sites)
        view = self.wait_until_ended(request)
        assert view["status"] == "released", view["failure"]
        return dict(self._client_of(request).release(request).to_dict())

    def pooled(self, name: str) -> pd.DataFrame:
        """All sites' rows, as they were ingested; the site in the column `site`."""
        tables = [
            pd.read_csv(self.local.folder / "tables" / site / f"{name}.csv").assign(site=site) for site in self.sites
        ]
        return pd.concat(tables, ignore_index=True)

    def flower(self, token: str | None = None) -> FlowerControl:
        """The hub's own hand on the SuperLink, or one with another token."""
        state = HubState(self.local.hub_state)
        port = json.loads(state.ports_path.read_text())["superlink"]
        return FlowerControl(f"127.0.0.1:{port}", state.certificates.ca, token or state.control_token())

    def process(self, name: str) -> psutil.Process:
        """Of a part that was started under that name, such as `hub` or `site-alfred`."""
        child = next(child for child in self.children.all() if child.name == name)
        return psutil.Process(child.process.pid)


@contextmanager
def running(folder: Path, sites: Sequence[str]) -> Iterator[Running]:
    """Start everything, stop everything; a process that is left behind fails the test."""
    local = LocalFederation(folder, Ports.free(), lambda line: None)
    with Children(local.logs) as children:
        local.start(sites, children)
        with closing(Running(local, children)) as started:
            yield started
        local.stop(children)
    wait_for(lambda: not _belonging_to(folder), f"nothing was left behind but {_belonging_to(folder)}", 10)


def _belonging_to(folder: Path) -> list[list[str]]:
    """Command lines of the processes that name the folder in their arguments or their environment."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and str(folder) in " ".join(
                [*process.cmdline(), *process.environ().values()]
            ):
                found.append(process.cmdline())
    return found
