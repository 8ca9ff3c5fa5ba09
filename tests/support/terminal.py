"""`synthema datasite …` as somebody types it, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.site import PASSPHRASE
from synthema_core.cli.main import main

INVALID, NOT_FOUND, NOT_ALLOWED, DENIED, INTEGRITY, UNAVAILABLE = 3, 4, 5, 6, 7, 9
"""Exit statuses."""


class Terminal:
    """Types `synthema datasite …` on one state folder, and reads what it says."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.state = folder, folder / "alder"
        self._capsys = capsys

    def types(self, *words: str | Path) -> str:
        """What a verb that succeeds prints."""
        assert main(["datasite", *map(str, words), "--state", str(self.state)]) == 0
        said = self._capsys.readouterr()
        assert said.err == ""
        return said.out

    def fails(self, status: int, *words: str | Path) -> str:
        """The sentence and hint of a verb that fails with that status."""
        assert main(["datasite", *map(str, words), "--state", str(self.state)]) == status
        said = self._capsys.readouterr()
        assert said.out == ""
        sentence, *hint = said.err.splitlines()
        assert sentence.startswith("synthema: ")
        assert sentence.endswith(".")
        assert len(hint) <= 1
        assert "Traceback" not in said.err
        return said.err

    def misspelt(self, *words: str) -> str:
        """What argparse says of a malformed command line."""
        with pytest.raises(SystemExit) as ended:
            main(["datasite", *words])
        assert ended.value.code == 2
        return self._capsys.readouterr().err

    def secret(self, text: str = PASSPHRASE, mode: int = 0o600) -> Path:
        path = self.folder / f"secret-{mode:o}"
        path.write_text(text + "\n")
        path.chmod(mode)
        return path
