"""A job of syft as files by path: out of a Request, in a folder, and back as a draft that a researcher may submit.

What came from elsewhere is untrusted. Only ``config.yaml`` and Python files under ``code/`` are read; ``run.sh`` and
syft's marks of approval are not even opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from synthema_core.code.questions import CodeQuestion
from synthema_core.code.source import MAIN
from synthema_core.code.syft_job import Draft, config_of, draft_of
from synthema_core.errors import InvalidInput, Unavailable
from synthema_core.plan import Plan
from synthema_datasite.syft_bridge.small_yaml import LARGEST_YAML, read_yaml
from synthema_datasite.syft_bridge.untrusted import is_folder, names, opened_below, opened_folder, read_file, shown

CONFIG, CODE, RUN, README = "config.yaml", "code/", "run.sh", "README.md"
_LARGEST_SOURCE = 400_000
_MOST_NAMES, _DEEPEST = 100, 5
_RUN = f"""#!/bin/sh
# syft wants this file in a job. It runs nothing: see {CODE}{README}.
echo "This job runs in Synthema, after a steward's approval there." >&2
exit 1
"""
_README = """# A request of Synthema, as a job of syft

This folder is a copy to read and to pass on. It does not run: `run.sh` ends with an error.

An approval in syft, by whatever mark or file, is no approval in Synthema. There, the stewards of each site approve
every byte of the code, the version of the data, the outputs and the cost, at their own site. To ask what is asked
here, a researcher submits a new request: `synthema datasite syft import-request` drafts it.
"""


def export_files(plan: Plan, question: CodeQuestion, request: str, name: str) -> dict[str, str]:
    """The job's files by path: what syft's check of a submission expects, and no more."""
    code = {README: _README, **question.code.files}
    config = yaml.safe_dump(config_of(plan, question, request, name, code), allow_unicode=True)
    return {CONFIG: config, RUN: _RUN, **{f"{CODE}{path}": text for path, text in code.items()}}


def write_job(folder: Path, files: Mapping[str, str]) -> None:
    """Write them into a new folder for its owner alone, none of them executable."""
    _write_all(folder, files)


def read_job(folder: Path) -> dict[str, str]:
    """``config.yaml`` and the Python files under ``code/`` of a folder that nobody vouches for.

    Raises
    ------
    NotFound, InvalidInput
        Naming the first file that is missing, a link, no regular file, no Python, no UTF-8, or too large.
    """
    with opened_folder(folder) as root:
        files = {CONFIG: _decoded(read_file(root, CONFIG, LARGEST_YAML), CONFIG)}
        with opened_below(root, CODE.rstrip("/")) as code:
            for number, (path, text) in enumerate(_sources(code, CODE, 0)):
                if text is not None:
                    files[path] = text
                if number > _MOST_NAMES or sum(map(len, files.values())) > _LARGEST_SOURCE + LARGEST_YAML:
                    raise InvalidInput("The job's code is too large.", "Leave out what is not needed.")
    return files


def _sources(folder: int, prefix: str, depth: int) -> Iterator[tuple[str, str | None]]:
    """Source by path, None of a folder: folders count too, or a tree of empty ones would be walked for days."""
    if depth > _DEEPEST:
        raise InvalidInput("The job's code lies too deep in folders.", "Use names like helpers/scores.py.")
    for name in names(folder, _MOST_NAMES):
        path = prefix + name
        if path == CODE + README:
            continue
        if is_folder(folder, name):
            yield path, None
            with opened_below(folder, name) as deeper:
                yield from _sources(deeper, f"{path}/", depth + 1)
        elif name.endswith(".py"):
            yield path, _decoded(read_file(folder, name, _LARGEST_SOURCE), path)
        else:
            raise InvalidInput(f"'{shown(path)}' is no Python module.", "Data do not travel with code: leave it out.")


def _decoded(content: bytes, path: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"'{shown(path)}' is no UTF-8 text.", "Save it as UTF-8.") from None


def read_draft(files: Mapping[str, str]) -> Draft:
    """What the job asks; raises as `draft_of` does. Of an envelope's files, only those that `read_job` reads count."""
    sources: dict[str, str] = {}
    for path, text in files.items():
        if not path.startswith(CODE) or path == CODE + README:
            continue
        if not path.endswith(".py") or shown(path) != path:
            raise InvalidInput(f"'{shown(path)}' is no Python module.", "Data do not travel with code: leave it out.")
        sources[path.removeprefix(CODE)] = text
    return draft_of(read_yaml(files.get(CONFIG, "").encode(errors="replace"), CONFIG), sources)


def write_draft(folder: Path, draft: Draft) -> None:
    """Write the cell and its helper modules into a new folder, as they are to lie beside a notebook."""
    _write_all(folder, {MAIN.removesuffix(".py") + ".cell": draft.cell, **draft.helpers})


def _write_all(folder: Path, files: Mapping[str, str]) -> None:
    """The folder must be new: below one that is there, links could lead elsewhere."""
    try:
        folder.mkdir(mode=0o700)
        for path, text in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            target.touch(mode=0o600)
            target.write_text(text, encoding="utf-8", newline="")
    except FileExistsError:
        raise InvalidInput(f"There is something at {folder} already.", "Name a folder that does not exist.") from None
    except OSError as error:
        raise Unavailable(f"The folder {folder} cannot be written: {error.strerror}.", "Check path and room.") from None
