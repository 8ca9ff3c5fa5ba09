"""The one federation of real processes that a test session shares; started by the first test that asks for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from support.running import Running, running
from synthema_core.cli.local_federation import SITES

CHROMIUM = "/usr/bin/chromium"
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--federation", choices=("only", "without"), help="only tests marked `federation`, or all but those"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """An option beside -m, so that who runs the tests still has that one."""
    wanted = config.getoption("--federation")
    if wanted:
        divided: dict[bool, list[pytest.Item]] = {True: [], False: []}
        for item in items:
            divided[(item.get_closest_marker("federation") is not None) == (wanted == "only")].append(item)
        items[:] = divided[True]
        config.hook.pytest_deselected(items=divided[False])


@pytest.fixture(scope="session")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The four hospitals of the demonstration. Tests that kill something start their own."""

    with running(tmp_path_factory.mktemp("federation"), SITES) as started:
        yield started


@pytest.fixture
def artifacts() -> Path:
    """Where tests leave pictures for people to look at."""
    folder = Path(__file__).parents[1] / "artifacts" / "tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Without Chromium browser tests say what is missing; in strict mode that is a failure."""
    if item.get_closest_marker("browser") and not shutil.which(CHROMIUM):
        missing = "Chromium is missing: install the system package `chromium`."
        if os.environ.get("SYNTHEMA_STRICT"):
            pytest.fail(missing)
        pytest.skip(missing)
