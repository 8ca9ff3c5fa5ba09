"""What was typed after ``%fed`` or ``%%remote``, as words and options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from synthema_core.errors import InvalidInput

_OPTION = re.compile(r"--([A-Za-z][A-Za-z0-9_-]*)(?:=(.*))?", re.DOTALL)
_VARIABLE = "-o"
_LONGEST_WAIT_SECONDS = 7 * 24 * 3600.0
REMOTE = "%%remote"


@dataclass(frozen=True, slots=True)
class Line:
    """One ``%fed`` line, or the line above a ``%%remote`` cell.

    Parameters
    ----------
    verb
        The first word; ``help`` for an empty line; ``%%remote`` for a cell's.
    words
        The words after it that belong to no option.
    options
        By name, without the dashes; an option without a value has the value ``""``.
    variable
        The notebook variable named by ``-o``, or empty.
    """

    verb: str
    words: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    variable: str = ""

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises InvalidInput for open quotes, repeated options and words that cannot be options."""
        verb, *rest = _split(text) or ["help"]
        return cls._read(verb, rest)

    @classmethod
    def of_cell(cls, text: str) -> Self:
        """What stands beside ``%%remote``. Raises as `read` does."""
        return cls._read(REMOTE, _split(text))

    @classmethod
    def _read(cls, verb: str, rest: list[str]) -> Self:
        words: list[str] = []
        options: dict[str, str] = {}
        while rest:
            part = rest.pop(0)
            name, value = _option(part)
            if not name:
                words.append(part)
                continue
            if name in options:
                raise InvalidInput(f"The option {_spelled(name)} is given twice.", "Give it once.")
            if value is None:
                value = rest.pop(0) if rest and not _option(rest[0])[0] else ""
            options[name] = value
        variable = options.pop(_VARIABLE, None)
        if variable is not None and not variable.isidentifier():
            raise InvalidInput("-o takes the name of a variable.", "For example -o km.")
        return cls(verb, tuple(words), options, variable or "")

    @property
    def called(self) -> str:
        """As it is typed: ``%fed run``."""
        return self.verb if self.verb == REMOTE else f"%fed {self.verb}"

    def allow(self, *options: str, words: int = 0) -> None:
        """Raise InvalidInput, naming it, for an option or word this verb does not take."""
        unknown = [name for name in self.options if name not in options]
        if unknown:
            offered = ", ".join([*(f"--{name}" for name in options), "-o VARIABLE"])
            raise InvalidInput(f"'{self.called}' has no option --{unknown[0]}.", f"It has {offered}.")
        self.allow_words(words)

    def allow_words(self, most: int) -> None:
        if len(self.words) > most:
            raise InvalidInput(
                f"'{self.called}' does not understand '{self.words[most]}'.",
                "Put quotes around a value of several words; see `%fed help`.",
            )

    def without(self, option: str) -> Self:
        """The same line, that option left out."""
        return replace(self, options={name: value for name, value in self.options.items() if name != option})

    def word(self, index: int = 0) -> str:
        return self.words[index] if index < len(self.words) else ""

    def required(self, name: str, example: str) -> str:
        value = self.options.get(name, "").strip()
        if not value:
            raise InvalidInput(f"'{self.called}' needs --{name}.", f"For example --{name} {example}.")
        return value

    def flag(self, name: str) -> bool:
        """Whether an option without a value is given."""
        if self.options.get(name):
            raise InvalidInput(f"--{name} takes no value.", f"Leave '{self.options[name]}' out.")
        return name in self.options

    def whole(self, name: str, least: int = 1, usual: int = 20) -> int | None:
        """A whole number from `least` on, or None where the option is not given."""
        if name not in self.options:
            return None
        value = _number(self.options[name])
        if value is None or value % 1 or value < least:
            raise InvalidInput(f"--{name} takes a whole number from {least} on.", f"For example --{name} {usual}.")
        return int(value)

    def number(self, name: str) -> float | None:
        """A number above 0, or None where the option is not given."""
        if name not in self.options:
            return None
        value = _number(self.options[name])
        if value is None or value <= 0:
            raise InvalidInput(f"--{name} takes a number above 0.", f"For example --{name} 1.")
        return value

    def seconds(self, name: str) -> float:
        """How long to wait: 0 without the option, a week where it has no number."""
        if name not in self.options:
            return 0.0
        value = _number(self.options[name] or str(_LONGEST_WAIT_SECONDS))
        if value is None or value < 0:
            raise InvalidInput(f"--{name} takes a number of seconds.", f"For example --{name} 600.")
        return value

    def names(self, name: str) -> tuple[str, ...]:
        """The names between commas; each may occur once."""
        parts = tuple(part.strip() for part in self.options.get(name, "").split(",") if part.strip())
        if name in self.options and (not parts or len(set(parts)) != len(parts)):
            raise InvalidInput(f"--{name} takes different names between commas.", f"For example --{name} a,b,c.")
        return parts


def take_options(line: str, cell: str) -> tuple[str, str]:
    """A cell's whole line of options, which may go on after a backslash as a shell's, and the code below it."""
    while line.rstrip().endswith("\\") and cell:
        more, _, cell = cell.partition("\n")
        line = f"{line.rstrip()[:-1]} {more}"
    return line, cell


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        raise InvalidInput(
            "The line has an open quotation mark or ends in a backslash.", 'Write values of several words in "...".'
        ) from None


def _option(part: str) -> tuple[str, str | None]:
    """(name, value after '='), or ("", None) for a plain word. Negative numbers are words."""
    if part == _VARIABLE:
        return _VARIABLE, None
    if found := _OPTION.fullmatch(part):
        return found[1].replace("_", "-"), found[2]
    if part.startswith("-") and _number(part) is None:
        raise InvalidInput(f"'{part}' is not an option.", "Options are written --name VALUE; see `%fed help`.")
    return "", None


def _spelled(name: str) -> str:
    return name if name == _VARIABLE else f"--{name}"


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None
