"""The repository keeps its own promises: what is built is what its sources say, what exists is documented."""

from __future__ import annotations

import argparse
import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

import pytest

from synthema_core.cli.main import make_parser
from synthema_core.policy import DatasetPolicy
from synthema_kernel.commands import COMMANDS
from synthema_kernel.manual import MANUAL

ROOT = Path(__file__).parents[2]
ZONES = ("synthema_core", "synthema_kernel", "hub", "datasite", "extensions/synthema_views", "bench")
_NOT_OURS = {"node_modules", "artifacts", "package-lock.json", "LICENSE", "__pycache__"}
#: Spelled in parts, so that this file does not find itself.
_FORBIDDEN = re.compile(
    "|".join(("pypi" + r"\.org", "python" + "hosted", "npm" + "js", "/ro" + "ot/", "/wo" + "rk/", "cdn" + r"\."))
)


def texts() -> Iterator[tuple[Path, str]]:
    """Every text of ours, by its path in the repository."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if not path.is_file() or _NOT_OURS & set(parts) or (parts[0].startswith(".") and parts[0] != ".ci"):
            continue
        with suppress(UnicodeDecodeError):
            yield path.relative_to(ROOT), path.read_text()


def docs() -> str:
    return "\n".join(path.read_text() for path in (ROOT / "docs").rglob("*.md")) + (ROOT / "README.md").read_text()


def test_the_built_views_are_their_sources() -> None:
    views = ROOT / "extensions" / "views"
    sources = [views / "build.mjs", views / "package.json", *sorted((views / "src").iterdir())]
    content = b"".join(f"{path.relative_to(views)}\n".encode() + path.read_bytes() + b"\n" for path in sources)
    expected = hashlib.sha256(content).hexdigest()
    for built in ("gauge.js", "gauge.css", "tracker.js", "tracker.css"):
        first = (ROOT / "extensions" / "synthema_views" / built).read_text().splitlines()[0]
        assert expected in first, "Run `npm run build` in extensions/views."


def leaves(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[str]:
    deeper = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for action in deeper:
        for name, child in action.choices.items():
            yield from leaves(child, (*words, name))
    if not deeper:
        yield " ".join(words)


@pytest.mark.parametrize("verb", sorted(leaves(make_parser())))
def test_every_verb_is_documented(verb: str) -> None:
    assert f"synthema {verb}" in docs()


def test_every_magic_is_in_the_manual_and_every_limit_in_the_engineers_how_to() -> None:
    shown = {line.split()[1] for line, _ in MANUAL if line.startswith("%fed ")}
    assert shown == set(COMMANDS)
    assert any(line.startswith("%%remote ") for line, _ in MANUAL)
    how_to = (ROOT / "docs" / "how-to" / "hospital-engineer.md").read_text()
    assert not [field.name for field in fields(DatasetPolicy) if field.name not in how_to]


def test_the_tests_that_the_security_page_names_are_there() -> None:
    page = (ROOT / "docs" / "security-properties.md").read_text()
    known = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    named = set(re.findall(r"test_\w+\.py", page))
    assert named and not named - known
    assert all((ROOT / folder).is_dir() for folder in re.findall(r"`(tests/\w+)/`", page))


def test_no_module_is_long_and_nothing_names_a_machine_or_a_registry() -> None:
    long = [
        str(path)
        for zone in ZONES
        for path in (ROOT / zone).rglob("*.py")
        if len(path.read_text().splitlines()) > 400 and ".venv" not in path.parts
    ]
    assert not long
    assert not [str(path) for path, text in texts() if _FORBIDDEN.search(text)]
