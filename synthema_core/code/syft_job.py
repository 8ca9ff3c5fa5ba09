"""A Request for code as a job of syft, and a job of syft as the draft of a ``%%remote`` cell.

Nothing in a job is believed: an approval there is none here, and the Request that the cell becomes is a new one. Text
of it that comes to stand in the cell's first line is cut to harmless characters, because a notebook fills ``$name`` and
``{expression}`` in there.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from synthema_core.canonical import Json
from synthema_core.code.declaration import choose_function
from synthema_core.code.outputs import Content, Output, Outputs
from synthema_core.code.questions import CodeQuestion, PerBlock, PerPatient
from synthema_core.code.shapes import SHAPES
from synthema_core.code.source import MAIN, Code, functions
from synthema_core.errors import InvalidInput, InvalidPlan
from synthema_core.plan import Plan

HEADER = "synthema"
"""Key in a job's ``headers``, which syft leaves to others, of what only Synthema knows."""
_OUTLANDISH = re.compile(r"[^\w .,:;()/+%?!'-]+")
_COLUMN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_PROTOCOL = re.compile(r"v\d+")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NUMBERS = {"clip": "clip", "blocks": "blocks", "cpu_seconds": "cpu-seconds", "epsilon": "epsilon", "delta": "delta"}
_LONGEST_TEXT = 500
_LARGEST_NUMBER = 1e15
_UNREADABLE = "What config.yaml declares for Synthema cannot be read."


@dataclass(frozen=True, slots=True)
class Draft:
    """What a job asks, as a researcher would type it.

    Parameters
    ----------
    cell
        The ``%%remote`` line, without the options that the job does not declare, and the code below it.
    helpers
        Source by path of the modules that travel along.
    name, requester, plan
        What the job says of itself; the digest of a Plan, or empty. Nobody vouches for it.
    """

    cell: str
    helpers: Mapping[str, str]
    function: str
    name: str
    requester: str
    plan: str

    def to_dict(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "requester": self.requester,
            "plan": self.plan,
            "function": self.function,
            "cell": self.cell,
            "helpers": dict(self.helpers),
        }


def config_of(plan: Plan, question: CodeQuestion, request: str, name: str, files: Iterable[str]) -> dict[str, Json]:
    """The ``config.yaml`` of a job: its protocol 1, which readers of protocol 0 take too.

    Parameters
    ----------
    question
        The one the Plan asks.
    name
        The Request's; a name that syft keeps for folders of its own gives way to the id.
    files
        What lies under ``code/``.
    """
    return {
        "canonical_name": "JobSubmissionMetadata",
        "version": "1",
        "name": name if name and not _PROTOCOL.fullmatch(name) else f"request-{request}",
        "type": "python",
        "submitted_at": plan.created_at,
        "entrypoint": MAIN,
        "dependencies": [],
        "files": list[Json](sorted(files)),
        "is_folder_submission": True,
        "code_path": None,
        "job_type": "local",
        "datasets": None,
        "headers": {HEADER: _header(plan, question, request)},
    }


def _header(plan: Plan, question: CodeQuestion, request: str) -> dict[str, Json]:
    header: dict[str, Json] = {
        "request": request,
        "requester": plan.requester,
        "plan": plan.digest,
        "purpose": plan.purpose,
        "dataset": plan.participants[0].dataset,
        "shape": question.shape,
        "function": question.code.function,
        "columns": list[Json](question.columns_read),
        "outputs": question.outputs.to_list(),
        "cpu_seconds": question.cpu_seconds,
    }
    if isinstance(question, PerPatient | PerBlock):
        header["clip"] = question.clip
    if isinstance(question, PerBlock):
        header["blocks"] = question.capacity
    if plan.privacy is not None:
        header |= {"epsilon": plan.privacy.epsilon, "delta": plan.privacy.delta}
    return header


def draft_of(config: object, sources: Mapping[str, str]) -> Draft:
    """The draft of a cell that asks what the job asks.

    Parameters
    ----------
    config
        What ``config.yaml`` holds, whatever that is.
    sources
        Python files by path under ``code/``.

    Raises
    ------
    InvalidInput, InvalidPlan
        If it is no Python job, or its code or what it declares could not be a Plan's.
    """
    if not isinstance(config, Mapping) or config.get("type", "python") != "python":
        raise InvalidInput("This is no Python job of syft.", "Synthema takes functions in Python.")
    headers = config.get("headers")
    declared = headers.get(HEADER) if isinstance(headers, Mapping) else None
    header: Mapping[Any, Any] = declared if isinstance(declared, Mapping) else {}
    files = _with_main(config.get("entrypoint"), sources)
    code = Code(files, _function(header, files[MAIN]))
    options = dict(_options(header))
    helpers = {path: text for path, text in files.items() if path != MAIN}
    if helpers:
        options["helpers"] = ",".join(sorted(helpers))
    if (name := config.get("name")) and isinstance(name, str) and _PLAIN.fullmatch(name):
        options["name"] = name
    options["function"] = code.function
    line = " ".join(["%%remote", *(shlex.quote(f"--{option}={value}") for option, value in options.items())])
    return Draft(
        cell=f"{line}\n{files[MAIN]}",
        helpers=helpers,
        function=code.function,
        name=_text(name),
        requester=_text(header.get("requester")),
        plan=_matching(_DIGEST, header.get("plan")),
    )


def _with_main(entrypoint: object, sources: Mapping[str, str]) -> dict[str, str]:
    """The sources, with the job's entry as the cell."""
    entry = entrypoint if isinstance(entrypoint, str) else MAIN
    if entry not in sources:
        raise InvalidInput("The job's entry point is none of its Python files.", "See entrypoint in config.yaml.")
    if entry != MAIN and MAIN in sources:
        raise InvalidInput(f"The job's entry point is another file than {MAIN}.", f"Rename {MAIN} in the job.")
    return {MAIN if path == entry else path: text for path, text in sources.items()}


def _function(header: Mapping[Any, Any], source: str) -> str:
    if not functions(source):
        raise InvalidPlan("The job is a script: it defines no function.", "Synthema calls a function; see `%fed help`.")
    named, shape = header.get("function"), header.get("shape")
    known = isinstance(named, str) and named in functions(source)
    return choose_function(source, str(shape), str(named) if known else "")


def _options(header: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    if (shape := header.get("shape")) in SHAPES:
        yield "shape", str(shape)
    if dataset := _matching(_PLAIN, header.get("dataset")):
        yield "dataset", dataset
    if purpose := _text(header.get("purpose")):
        yield "purpose", purpose
    if columns := header.get("columns"):
        if not isinstance(columns, list) or not all(_matching(_COLUMN, column) for column in columns):
            raise InvalidInput(_UNREADABLE, "See columns in config.yaml.")
        yield "columns", ",".join(columns)
    if outputs := header.get("outputs"):
        yield from _declared(_read_outputs(outputs).outputs)
    for key, option in _NUMBERS.items():
        if (value := header.get(key)) is not None:
            yield option, _number(value)


def _read_outputs(outputs: Any) -> Outputs:
    try:
        return Outputs.from_list(outputs)
    except (InvalidPlan, AttributeError):  # its message quotes a name that nobody has checked
        raise InvalidInput(_UNREADABLE, "See outputs in config.yaml.") from None


def _declared(outputs: tuple[Output, ...]) -> Iterator[tuple[str, str]]:
    """Numbers in full, unlike `Output.spell`: the declaration has to come back as it was."""
    yield "returns", ", ".join(f"{o.name}{list(o.shape) if o.shape else ''}={o.bound!r}" for o in outputs)
    if counts := [output.name for output in outputs if output.content is Content.COUNTS]:
        yield "counts", ",".join(counts)
    if defaults := [f"{output.name}={output.default!r}" for output in outputs if output.default]:
        yield "default", ", ".join(defaults)


def _number(value: object) -> str:
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < _LARGEST_NUMBER:
        raise InvalidInput(_UNREADABLE, "See its numbers in config.yaml.")
    return str(int(value)) if value == int(value) else repr(value)


def _text(value: object) -> str:
    """On one line, without what a shell, a notebook or a page could take for more than text."""
    return " ".join(_OUTLANDISH.sub(" ", value).split())[:_LONGEST_TEXT] if isinstance(value, str) else ""


def _matching(pattern: re.Pattern[str], value: object) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""
