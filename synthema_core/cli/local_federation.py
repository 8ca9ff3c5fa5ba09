"""A whole federation on this machine: the verbs that people would run at the hub and at each hospital, run for them.

Nothing here knows how a hub or a datasite works. Every step is a `synthema` verb in a process of its own.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from synthema_core.cli.processes import Children, command, free_port, run_verb
from synthema_core.cli.serving import is_serving, url_of
from synthema_core.errors import InvalidInput, NotFound

SITES = ("ohio-state", "alfred", "st-vincent", "hahnemann")
"""The four hospitals of the `bmt` table, in the order of its column z9."""
RESEARCHER, OPERATOR = "rosalind", "operator"
_SITE = "site-"
_AT_ONCE = 2
_START_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Person:
    """A demonstration login. `site` is set for data owners, whose password is their steward passphrase too."""

    name: str
    group: str
    password: str
    site: str = ""


@dataclass(frozen=True, slots=True)
class Ports:
    """Of the browser's entrance and of the sites' gateway; each page of a datasite takes a free one."""

    hub: int
    gateway: int

    @classmethod
    def free(cls) -> Ports:
        return cls(free_port(), free_port())


WriteTables: TypeAlias = Callable[[Path, Sequence[str]], None]


def write_demo_tables(folder: Path, sites: Sequence[str]) -> None:
    """The demonstration's real patients, by hospital."""
    run_verb("datasite", "demo-files", str(folder), "--sites", ",".join(sites))


class LocalFederation:
    """A hub and some datasites under one folder.

    Parameters
    ----------
    folder
        Holds hub/, sites/NAME/, people/ and logs/. Made if absent; a second start finds it again.
    say
        Takes one line about each step.
    write_tables
        Writes what the sites take in: policy.toml, NAME.yaml, SITE/NAME.csv and SITE/about.json for each of them.
    """

    def __init__(
        self,
        folder: Path,
        ports: Ports,
        say: Callable[[str], None],
        write_tables: WriteTables = write_demo_tables,
    ) -> None:
        self.folder, self.ports, self._say, self._write_tables = folder, ports, say, write_tables
        self._about = folder / "federation.json"

    @property
    def hub_state(self) -> Path:
        return self.folder / "hub"

    def site_state(self, site: str) -> Path:
        return self.folder / "sites" / site

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports.hub}"

    def passphrase_file(self, person: Person) -> Path:
        return self.folder / "people" / f"{person.name}.passphrase"

    @property
    def sites(self) -> list[str]:
        return list(self._read()["sites"])

    @property
    def people(self) -> list[Person]:
        return [Person(**person) for person in self._read()["people"]]

    def _read(self) -> dict[str, list]:  # type: ignore[type-arg]
        if not self._about.exists():
            raise NotFound(f"There is no federation in {self.folder}.", "Make one with `synthema up`.")
        return dict(json.loads(self._about.read_text()))

    def start(self, sites: Sequence[str], children: Children) -> None:
        """Make what is missing, start every process, and return when all sites serve."""
        fresh = not self._about.exists()
        if not fresh and list(sites) != self.sites:
            raise InvalidInput(
                f"The federation in {self.folder} has {len(self.sites)} sites.",
                f"Use --sites {len(self.sites)}, or another --state.",
            )
        if fresh:
            self._make(sites, children)
        else:
            self._start_hub(children)
        for site in sites:
            self._start_site(site, children)
        states = [self.site_state(site) for site in sites]
        children.wait_until(lambda: all(map(is_serving, states)), "The datasites", _START_SECONDS)

    def stop(self, children: Children) -> None:
        """The sites first: they take leave of the hub, which otherwise lets them in again only after a silence."""
        children.end(_SITE)
        children.end()

    def _make(self, sites: Sequence[str], children: Children) -> None:
        people = _invent_people(sites)
        self._say("Making the hub and its accounts.")
        self._write_passphrases(people)
        run_verb("hub", "init", "--state", str(self.hub_state))
        self._make_accounts(people)
        self._start_hub(children, wait=False)
        self._say(f"Making {len(sites)} datasites and taking their patients in.")
        tables = self.folder / "tables"
        self._write_tables(tables, sites)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda site: self._make_site(site, people, tables), sites))
        self._wait_for_hub(children)
        self._say("Joining them to the federation.")
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._join_site, sites))
        about = {"sites": list(sites), "people": [asdict(person) for person in people]}
        self._about.touch(mode=0o600)
        self._about.write_text(json.dumps(about, indent=1))

    def _write_passphrases(self, people: Sequence[Person]) -> None:
        (self.folder / "people").mkdir(parents=True, exist_ok=True, mode=0o700)
        for person in people:
            path = self.passphrase_file(person)
            path.touch(mode=0o600)
            path.write_text(person.password + "\n")

    def _make_accounts(self, people: Sequence[Person]) -> None:
        for person in people:
            words = ("--group", person.group, "--password-file", str(self.passphrase_file(person)))
            run_verb("hub", "account", person.name, *words, "--state", str(self.hub_state))

    def _make_site(self, site: str, people: Sequence[Person], tables: Path) -> None:
        state = str(self.site_state(site))
        title = json.loads((tables / site / "about.json").read_text())["title"]
        run_verb("datasite", "init", site, "--title", title, "--policy", str(tables / "policy.toml"), "--state", state)
        owner = next(person for person in people if person.site == site)
        run_verb(
            "datasite", "steward", owner.name, "--passphrase-file", str(self.passphrase_file(owner)), "--state", state
        )
        for table in sorted((tables / site).glob("*.csv")):
            schema = str(tables / f"{table.stem}.yaml")
            run_verb("datasite", "ingest", str(table), "--name", table.stem, "--schema", schema, "--state", state)

    def _join_site(self, site: str) -> None:
        invitation = json.loads(run_verb("hub", "invite", site, "--json", "--state", str(self.hub_state)))
        words = ("--code", invitation["code"], "--fingerprint", invitation["fingerprint"])
        gateway = f"127.0.0.1:{self.ports.gateway}"
        run_verb("datasite", "join", gateway, *words, "--state", str(self.site_state(site)))

    def _start_hub(self, children: Children, *, wait: bool = True) -> None:
        words = ("--port", str(self.ports.hub), "--gateway-port", str(self.ports.gateway))
        children.start("hub", command("hub", "serve", "--state", str(self.hub_state), *words))
        if wait:
            self._wait_for_hub(children)

    def _wait_for_hub(self, children: Children) -> None:
        children.wait_until(lambda: is_serving(self.hub_state), "The hub", _START_SECONDS)

    def _start_site(self, site: str, children: Children) -> None:
        words = ("--port", "0", "--state", str(self.site_state(site)))
        children.start(f"{_SITE}{site}", command("datasite", "serve", *words))

    def page_of(self, site: str) -> str:
        """Where the stewards of a serving site find its page."""
        return url_of(self.site_state(site))


def _invent_people(sites: Sequence[str]) -> list[Person]:
    owners = [Person(f"owner-{site}", "data-owner", _passphrase(), site) for site in sites]
    return [
        Person(RESEARCHER, "researcher", _passphrase()),
        Person(OPERATOR, "operator", _passphrase()),
        *owners,
    ]


def _passphrase() -> str:
    """80 random bits, in a form that people can type."""
    text = secrets.token_hex(10)
    return "-".join(text[i : i + 5] for i in range(0, 20, 5))
