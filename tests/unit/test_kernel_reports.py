"""Reports run by the real command in a real kernel; the built views; the packaged notebooks."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import nbformat
import pytest

import synthema_views
from support.builders import plan
from support.code import code_plan, per_patient
from support.federation import RESEARCHER, TOKEN, URL, FakeFederation, served
from synthema_core.errors import InvalidInput, NotFound, Unavailable
from synthema_kernel.cli import read_parameters
from synthema_kernel.client import FederationClient
from synthema_kernel.reports import print_pdf
from synthema_kernel.reports.page import to_page
from synthema_kernel.reports.templates import find_template, notebooks_folder

ROOT = Path(__file__).parents[2]
VIEWS = ROOT / "extensions" / "views"


COMMAND = """
import argparse, sys
from synthema_core.cli.main import exit_status
from synthema_core.errors import SynthemaError
from synthema_kernel.cli import verbs

parser = argparse.ArgumentParser()
verbs(parser.add_subparsers())
arguments = parser.parse_args()
try:
    sys.exit(arguments.run(arguments))
except SynthemaError as error:
    print(error, file=sys.stderr)
    sys.exit(exit_status(error))
"""


def report(url: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SYNTHEMA_FEDERATION_URL": url, "JUPYTERHUB_API_TOKEN": TOKEN}
    command = [sys.executable, "-c", COMMAND, "report", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def released() -> FakeFederation:
    federation = FakeFederation()
    client = FederationClient(URL, TOKEN, transport=federation)
    for analysis, name in (("kaplan-meier", "survival"), ("cox", "hazards")):
        identifier = client.submit(plan(analysis), name)["id"]
        federation.run_to_release(identifier)
    federation.calls.clear()
    return federation


def external(page: str) -> set[str]:
    return set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"'<>)]*", page)) - {"http://www.w3.org/2000/svg"}


def test_the_survival_report_is_one_offline_page_and_submits_nothing(tmp_path: Path) -> None:
    federation = released()
    with served(federation) as url:
        done = report(url, "survival", "-p", "requests=[survival, hazards]", "--output", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    page = Path(done.stdout.strip())
    assert page == tmp_path / "out" / "survival.html"
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg ") == 2
    assert "no formal guarantee" in text
    assert plan().digest in text
    assert external(text) == set()
    assert not re.search(r"<script|<link|<iframe|@import|url\(|src=", text)
    assert TOKEN not in text
    assert federation.calls
    assert all(call.startswith("GET ") for call in federation.calls)


@pytest.mark.browser
def test_a_report_can_be_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "survival.html"
    page.write_text("<!doctype html><title>Report</title><h1>Survival</h1><p>Of forty patients.</p>")
    printed = print_pdf(page)
    assert printed == tmp_path / "survival.pdf"
    assert printed.read_bytes().startswith(b"%PDF-")
    assert len(printed.read_bytes()) > 2000
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="there is none") as caught:
        print_pdf(page)
    assert str(page) in caught.value.hint


def test_results_of_code_are_in_a_report_as_others_are(tmp_path: Path) -> None:
    federation = released()
    identifier = FederationClient(URL, TOKEN, transport=federation).submit(code_plan(per_patient()), "ages")["id"]
    federation.run_to_release(identifier)
    with served(federation) as url:
        done = report(url, "survival", "-p", "requests=[ages, hazards]", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "survival.html").read_text(encoding="utf-8")
    assert text.count("<svg ") == 2
    assert "flags[2]" in text
    assert "for each patient apart" in text
    assert external(text) == set()
    assert not re.search(r"<script|<link|<iframe|@import|url\(|src=", text)


def test_a_failing_cell_is_one_sentence_and_an_exit_status(tmp_path: Path) -> None:
    with served(released()) as url:
        done = report(url, "survival", "-p", "requests=nothing", "--output", str(tmp_path))
    assert done.returncode == 8
    assert "You have no request 'nothing'." in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["nosuch"], 4, "no template 'nosuch'"),
        (["survival", "-p", "colour=red"], 3, "no parameter 'colour'"),
    ],
)
def test_bad_input_to_the_command(tmp_path: Path, words: list[str], status: int, message: str) -> None:
    done = report(URL, *words, "--output", str(tmp_path))
    assert (done.returncode, message in done.stderr) == (status, True), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_parameters_are_yaml() -> None:
    assert read_parameters(["a=1", "b=[x, y]", "c=x=y", "d="]) == {"a": 1, "b": ["x", "y"], "c": "x=y", "d": None}
    for bad in ("=1", "a b=1", "a=[1"):
        with pytest.raises(InvalidInput):
            read_parameters([bad])


def test_a_page_keeps_text_of_widgets_and_drops_scripts_and_code() -> None:
    output = nbformat.v4.new_output(
        "display_data",
        {
            "application/vnd.jupyter.widget-view+json": {"model_id": "1"},
            "application/javascript": "alert(1)",
            "text/plain": "survival: released",
        },
    )
    cells = [
        nbformat.v4.new_markdown_cell("# Title <b>"),
        nbformat.v4.new_code_cell("secret_code()", outputs=[output]),
        nbformat.v4.new_code_cell("hidden = 1", metadata={"tags": ["parameters"]}),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"widgets": {"x": 1}})
    page = to_page(notebook.copy())
    assert "survival: released" in page
    assert "<title>Title &lt;b&gt;</title>" in page
    assert not re.search("secret_code|hidden|alert|<script", page)
    assert "secret_code" in to_page(notebook, show_code=True)


def test_templates_are_found_by_name() -> None:
    assert find_template("survival") == notebooks_folder() / "reports" / "survival.ipynb"
    assert find_template("01-first-study").parent.name == "tutorials"
    for name in ("../pyproject", "missing.ipynb"):
        with pytest.raises(NotFound, match=name):
            find_template(name)


@pytest.mark.parametrize("path", sorted(notebooks_folder().glob("*/*.ipynb")), ids=lambda path: path.stem)
def test_packaged_notebooks_are_clean_and_take_parameters(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in code) == 1
    assert notebook.metadata.kernelspec.name == "python3"
    assert RESEARCHER not in path.read_text()


def test_report_templates_never_submit() -> None:
    for path in (notebooks_folder() / "reports").glob("*.ipynb"):
        assert not re.search(r"%fed run|\.submit\(|\.withdraw\(", path.read_text())


def sources_digest() -> str:
    """As extensions/views/build.mjs computes it."""
    whole = hashlib.sha256()
    names = ["build.mjs", "package.json", *(f"src/{path.name}" for path in sorted((VIEWS / "src").iterdir()))]
    for name in names:
        whole.update(f"{name}\n".encode() + (VIEWS / name).read_bytes() + b"\n")
    return whole.hexdigest()


@pytest.mark.parametrize("name", ["tracker.js", "tracker.css"])
def test_built_views_are_built_from_these_sources(name: str) -> None:
    built = synthema_views.module(name).read_text(encoding="utf-8")
    assert f"sources-sha256: {sources_digest()}" in built.splitlines()[0], "run `npm run build` in extensions/views"
    assert external(built) == set()


def test_built_views_never_write_html() -> None:
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|eval\(", synthema_views.module("tracker.js").read_text()
    )


def test_the_lockfile_names_no_registry() -> None:
    lock = (VIEWS / "package-lock.json").read_text()
    assert "resolved" not in lock
    assert "://" not in lock
    assert '"integrity"' in lock


@pytest.mark.parametrize("name", ["nothing.js", "../views/build.mjs", "__init__.py"])
def test_only_built_views_are_handed_out(name: str) -> None:
    with pytest.raises(FileNotFoundError):
        synthema_views.module(name)


def test_a_tracker_moves_by_itself_in_a_real_kernel(tmp_path: Path) -> None:
    """Its state, as the browser would get it, goes from submitted to released while the next cell runs."""
    federation = FakeFederation()
    FederationClient(URL, TOKEN, transport=federation).submit(plan(), "survival")
    waiting = threading.Event()

    class Asked(list[str]):
        """The last cell asks for the sites: only then does the request move on."""

        def append(self, call: str) -> None:
            super().append(call)
            if call.endswith("sites"):
                waiting.set()

    federation.calls = Asked()
    federation.script = [
        lambda: waiting.wait(30) and federation.approve("r1"),
        lambda: federation.start("r1"),
        lambda: federation.release("r1"),
    ]
    wait = (
        "import time\nuntil = time.monotonic() + 20\nwhile watch.connection == 'live' and time.monotonic() < until:\n"
    )
    last = "%fed sites\n" + wait + "    time.sleep(0.02)"
    cells = ["%load_ext synthema_kernel", "%fed follow survival -o watch", last]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    path = tmp_path / "live.ipynb"
    nbformat.write(notebook, path)
    with served(federation) as url:
        done = report(url, str(path), "--output", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    states = nbformat.read(tmp_path / "out" / "live.ipynb", as_version=4).metadata.widgets
    models = states["application/vnd.jupyter.widget-state+json"]["state"].values()
    (state,) = [model["state"] for model in models if "view" in model["state"]]
    assert state["view"]["status"] == "released"
    assert state["connection"] == "ended"
    assert "data-testid" not in (tmp_path / "out" / "live.html").read_text()
