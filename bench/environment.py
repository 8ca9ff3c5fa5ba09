"""An environment of the bench's own: this one's packages and the probe, gone with the bench.

A datasite's worker is started with `python -I`, which knows only what is installed; and an analysis that is installed
is part of the engine's digest. So that no other process of this machine meets the probe, it is installed here only.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TREE = Path(__file__).resolve().parents[1]
#: The tree that this file is in comes first, also for programs that read no PYTHONPATH: a copy measures itself.
_OWN = ("bench/probe", ".", "hub", "datasite", "extensions")
_MARK = "of-the-bench"
_FLOWER = ("flower-*", "flwr-*")


def is_own() -> bool:
    """Whether this process runs in such an environment."""
    return (Path(sys.prefix) / _MARK).exists()


def enter() -> None:
    """Start this program again, in an environment of its own. Does not return."""
    folder = Path(tempfile.mkdtemp(prefix="synthema-bench-"))
    try:
        python = str(_make(folder / "environment"))
        os.execv(python, [python, *sys.argv])
    except BaseException:
        shutil.rmtree(folder)
        raise


@contextmanager
def own_folder(kept_logs: Path) -> Iterator[Path]:
    """The folder of this environment, for everything that the bench writes; it goes with the environment.

    Parameters
    ----------
    kept_logs
        Where the logs in it go if the block fails.
    """
    folder = Path(sys.prefix).parent
    try:
        yield folder
    except Exception:
        for logs in folder.rglob("logs"):
            shutil.copytree(logs, kept_logs, dirs_exist_ok=True)
        print(f"Every process's log is in {kept_logs}.", file=sys.stderr)
        raise
    finally:
        shutil.rmtree(folder)


def _make(folder: Path) -> Path:
    """The new environment's interpreter."""
    venv.create(folder, symlinks=True, with_pip=False)
    packages = sysconfig.get_path("purelib")
    own_packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    # By addsitedir, so that the .pth files among those packages are read too: our own is installed by one.
    own = "\n".join(str(_TREE / part) for part in _OWN)
    (own_packages / "bench.pth").write_text(f"{own}\nimport site; site.addsitedir({packages!r})\n")
    python = folder / "bin" / "python"
    for pattern in _FLOWER:
        for program in Path(sys.executable).parent.glob(pattern):
            _copy_program(program, folder / "bin", python)
    (folder / _MARK).touch()
    return python


def _copy_program(program: Path, folder: Path, python: Path) -> None:
    """The same entry point, run by that interpreter."""
    _, _, body = program.read_text().partition("\n")
    copy = folder / program.name
    copy.write_text(f"#!{python}\n{body}")
    copy.chmod(0o755)
