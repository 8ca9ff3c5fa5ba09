"""The main job, from login to report, as people would do it: the researcher's notebook, the stewards' own processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from synthema_core.cli.hub_login import token_by_login_form
from synthema_core.cli.local_federation import RESEARCHER, LocalFederation, Person
from synthema_core.cli.processes import Children, command
from synthema_core.cli.result_text import describe_release
from synthema_core.errors import RoundFailed, Unavailable

_TUTORIAL = "01-first-study"
_SERVICE = "/services/federation"


def run_demo(
    federation: LocalFederation,
    sites: Sequence[str],
    children: Children,
    output: Path,
    say: Callable[[str], None],
) -> None:
    """Start the federation, run the tutorial in it, print what came out.

    Raises
    ------
    SynthemaError
        If any step fails; `children` ends what was started.
    """
    began = time.monotonic()
    federation.start(sites, children)
    say(f"{len(sites)} hospitals are online at {federation.url} ({time.monotonic() - began:.0f} s).")
    researcher = next(person for person in federation.people if person.name == RESEARCHER)
    token = token_by_login_form(federation.url, researcher.name, researcher.password)
    _start_stewards(federation, children)
    say(f"{researcher.name} runs {_TUTORIAL}; each hospital's steward reads and approves.")
    report = _run_notebook(federation, token, output)
    for release in _releases(federation, token):
        say("\n" + describe_release(release))
    say(f"\nFrom the start to the result: {time.monotonic() - began:.0f} s. The report, with its pictures: {report}")


def _start_stewards(federation: LocalFederation, children: Children) -> None:
    """One process a steward; each runs `synthema datasite review` as a person would."""
    for person in federation.people:
        if person.site:
            children.start(f"steward-{person.site}", steward_command(federation, person))


def steward_command(federation: LocalFederation, person: Person) -> list[str]:
    """What starts a data owner's process: it approves whatever comes to the site, by the real verb."""
    state, passphrase = federation.site_state(person.site), federation.passphrase_file(person)
    return [sys.executable, "-m", "synthema_core.cli.demo_steward", str(state), person.name, str(passphrase)]


def _run_notebook(federation: LocalFederation, token: str, output: Path) -> Path:
    output.mkdir(parents=True, exist_ok=True)
    words = ("report", _TUTORIAL, "--output", str(output), "-p", "wait_seconds=120")
    environment = {
        **os.environ,
        "SYNTHEMA_FEDERATION_URL": federation.url + _SERVICE,
        "JUPYTERHUB_API_TOKEN": token,
        "JUPYTERHUB_USER": RESEARCHER,
    }
    done = subprocess.run(command(*words), env=environment, capture_output=True, text=True, check=False)
    report = output / f"{_TUTORIAL}.html"
    if done.returncode or not report.exists():
        raise RoundFailed(f"The notebook did not run to its end: {(done.stderr or done.stdout).strip()[-2000:]}")
    return report


def _releases(federation: LocalFederation, token: str) -> list[Mapping[str, Any]]:
    """The researcher's Releases, oldest first."""
    headers = {"Authorization": f"Bearer {token}"}
    try:
        with httpx.Client(
            base_url=federation.url + _SERVICE, headers=headers, timeout=30.0, trust_env=False
        ) as service:
            requests = service.get("/api/requests").raise_for_status().json()
            released = [view["id"] for view in reversed(requests) if view["status"] == "released"]
            return [service.get(f"/api/requests/{id_}/release").raise_for_status().json() for id_ in released]
    except httpx.HTTPError as error:
        raise Unavailable(f"The federation service did not answer ({type(error).__name__}).") from None
