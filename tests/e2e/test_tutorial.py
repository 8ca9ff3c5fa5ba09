"""The main job as `make demo` does it: the tutorial runs as a notebook, and stewards' own processes approve."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from support.running import Running
from synthema_core.cli.demo import steward_command
from synthema_core.cli.local_federation import RESEARCHER
from synthema_core.cli.processes import command
from synthema_kernel.reports import find_template

pytestmark = [pytest.mark.federation, pytest.mark.timeout(400)]


@pytest.fixture
def stewards(federation: Running) -> Iterator[None]:
    """One process a data owner, approving whatever comes, until the test ends."""
    for person in federation.local.people:
        if person.site:
            federation.children.start(f"steward-{person.site}", steward_command(federation.local, person))
    yield
    federation.children.end("steward-")


@pytest.fixture
def researcher(federation: Running) -> dict[str, str]:
    """The environment that the hub gives the researcher's notebooks."""
    return {
        **os.environ,
        "SYNTHEMA_FEDERATION_URL": federation.service,
        "JUPYTERHUB_API_TOKEN": federation.token(),
        "JUPYTERHUB_USER": RESEARCHER,
    }


@pytest.mark.parametrize("tutorial", ["01-first-study", "02-your-own-code", "03-a-paper"])
@pytest.mark.usefixtures("stewards")
def test_every_cell_of_the_tutorials_runs(tutorial: str, researcher: dict[str, str], tmp_path: Path) -> None:
    notebook = load_notebook_node(str(find_template(tutorial)))
    copy = tmp_path / "tutorial.ipynb"
    nbformat.write(parameterize_notebook(notebook, {"wait_seconds": 150, "epsilon": 0.25}), copy)
    words = ("--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider", "-q", str(copy))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=tmp_path,
        env=researcher,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.usefixtures("federation")
def test_a_report_of_released_results_opens_offline(
    federation: Running, researcher: dict[str, str], tmp_path: Path
) -> None:
    options = {"time": "t2", "event": "d3", "step": "90"}
    federation.released(federation.ask("kaplan-meier", "bmt", options, name="reported"))
    words = command("report", "survival", "-p", "requests=reported", "--output", str(tmp_path))
    done = subprocess.run(words, env=researcher, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "survival.html").read_text()
    assert "<svg" in page and "all patients" in page and "no formal guarantee" in page
    assert "http://" not in page.replace("http://www.w3.org/", "") and "https://" not in page and "<script" not in page
