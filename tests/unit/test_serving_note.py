"""One server a state folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from synthema_core.cli.serving import is_serving, note_serving, note_taken_back, url_of
from synthema_core.errors import Unavailable


def test_two_servers_never_serve_one_folder(tmp_path: Path) -> None:
    with note_taken_back(tmp_path):
        note_serving(tmp_path, "http://127.0.0.1:1/")
        with pytest.raises(Unavailable, match="Another process"), note_taken_back(tmp_path):
            pytest.fail("a second server got in")
        assert is_serving(tmp_path) and url_of(tmp_path) == "http://127.0.0.1:1/"
    assert not is_serving(tmp_path)
    with note_taken_back(tmp_path):
        pass
