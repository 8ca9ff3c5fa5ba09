"""A federation whose processes are killed; every test leaves them running."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.running import Running, running
from synthema_core.cli.local_federation import SITES


@pytest.fixture(scope="session")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("fragile"), SITES) as started:
        yield started
