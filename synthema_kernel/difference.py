"""How two Plans differ: their code line by line, the rest part by part; as their reviewers will see it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import unified_diff
from typing import Any

from synthema_core.code.outputs import Content
from synthema_core.plan import Plan, describe_change
from synthema_kernel.listing import Listing, Tone
from synthema_kernel.markup import Part, Table

_LONGEST_VALUE = 120
_TONES = {"@": Tone.HEAD, "+": Tone.ADDED, "-": Tone.REMOVED}
_HEAD_LINES = 2
#: Differ in every Plan, or follow from parts that are shown.
_UNSAID = frozenset({"created_at", "expires_at", "supersedes", "layout", "engine"})
_WORDS = {"cpu_seconds": "CPU-seconds", "output": "limits", "columns": "columns read"}


def difference(old: Plan, new: Plan) -> list[Part]:
    """The changed lines of each file of code, then every other part that is not the same."""
    parts: list[Part] = [_listing(path, lines) for path, lines in _changed_files(old, new)]
    rows = [(_WORDS.get(part, part), _spelled(before), _spelled(after)) for part, before, after in _changes(old, new)]
    return [*parts, Table(("Part", "Before", "Now"), rows, "Other changes")] if rows else parts


def _files(plan: Plan) -> Mapping[str, str]:
    code = plan.parameters.get("code")
    files = code.get("files") if isinstance(code, Mapping) else None
    return {str(path): str(text) for path, text in files.items()} if isinstance(files, Mapping) else {}


def _changed_files(old: Plan, new: Plan) -> Iterator[tuple[str, list[str]]]:
    before, after = _files(old), _files(new)
    for path in sorted({*before, *after}):
        lines = (before.get(path, "").splitlines(), after.get(path, "").splitlines())
        names = (path if path in before else "nothing", path if path in after else "nothing")
        changed = list(unified_diff(*lines, *names, lineterm=""))
        if changed:
            yield path, changed


def _listing(path: str, lines: list[str]) -> Listing:
    head = [(Tone.HEAD, line) for line in lines[:_HEAD_LINES]]
    return Listing(
        [*head, *((_TONES.get(line[:1], Tone.PLAIN), line) for line in lines[_HEAD_LINES:])], f"Changes in {path}"
    )


def _changes(old: Plan, new: Plan) -> Iterator[tuple[str, Any, Any]]:
    for part, before, after in describe_change(old, new):
        if part == "parameters":
            yield from _changed_items(_without_files(before), _without_files(after))
        elif part == "participants":
            yield from _changed_items(_datasets(before), _datasets(after))
        elif part not in _UNSAID:
            yield part, before, after


def _changed_items(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            yield name, before.get(name), after.get(name)


def _without_files(parameters: Any) -> dict[str, Any]:
    code = parameters.get("code")
    rest = {name: value for name, value in parameters.items() if name != "code"}
    if not isinstance(code, Mapping):
        return rest
    return {**rest, "function": code["function"], "outputs": [_declared(output) for output in rest["outputs"]]}


def _declared(output: Mapping[str, Any]) -> str:
    shape = f"{output['shape']}" if output["shape"] else ""
    what = " counts" if output["content"] == Content.COUNTS else ""
    return f"{output['name']}{shape}={output['bound']:g}{what}, else {output['default']:g}"


def _datasets(participants: Any) -> dict[str, str]:
    return {f"at {p['site']}": f"{p['dataset']} (version {p['version']})" for p in participants}


def _spelled(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = "; ".join(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"
