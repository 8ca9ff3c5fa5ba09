"""Notebook servers as processes of this machine: for demonstration. All users' notebooks run under one account."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

from jupyterhub.spawner import SimpleLocalProcessSpawner

_HERE = Path(__file__).parent


class LocalSpawner(SimpleLocalProcessSpawner):
    """Gives each user a home with the tutorials in it. Lab in it asks the internet for nothing."""

    @staticmethod
    def lab_settings() -> Path:
        """Settings that turn Lab's news, update checks and extension manager off."""
        return _HERE / "lab"

    async def start(self) -> Any:
        await asyncio.to_thread(seed_home, Path(self.home_dir))
        return await super().start()


def tutorials_folder() -> Path:
    """The tutorials of an installed wheel, or the repository's own in an editable checkout."""
    packaged = _HERE / "tutorials"
    return packaged if packaged.is_dir() else _HERE.parents[1] / "notebooks" / "tutorials"


def seed_home(home: Path) -> None:
    """Make the home, and copy the tutorials that are not there. What a user has changed is never overwritten."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = home / "tutorials"
    folder.mkdir(exist_ok=True)
    for notebook in tutorials_folder().glob("*.ipynb"):
        if not (folder / notebook.name).exists():
            shutil.copyfile(notebook, folder / notebook.name)
