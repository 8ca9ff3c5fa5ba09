"""How one datasite server is run: said on the command line, held in one frozen object."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """
    Parameters
    ----------
    host, port
        Where the steward's page listens, inside the hospital. Port 0 takes a free one.
    certificate, key
        PEM files for https; without them the page speaks http and listens on this machine only.
    """

    state: Path
    host: str = "127.0.0.1"
    port: int = 8100
    certificate: Path | None = None
    key: Path | None = None
