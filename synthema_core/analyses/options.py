"""Reading what a researcher typed, and what a Plan carries, with one sentence about anything that cannot be read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from synthema_core.canonical import Json, canonical
from synthema_core.errors import InvalidInput, InvalidPlan

_YES = frozenset({"", "true", "yes", "1"})
_NO = frozenset({"false", "no", "0"})


class Options:
    """A researcher's options by name, `exact-times` and `exact_times` being the same.

    Raises
    ------
    InvalidInput
        For an option the analysis does not have, and for values that cannot be read.
    """

    def __init__(self, analysis: str, options: Mapping[str, str], known: tuple[str, ...]) -> None:
        self._analysis = analysis
        self._values = {name.replace("_", "-"): str(value).strip() for name, value in options.items()}
        unknown = sorted(set(self._values) - set(known))
        if unknown:
            raise InvalidInput(
                f"'{analysis}' has no option --{unknown[0]}.", f"It has {', '.join(f'--{name}' for name in known)}."
            )

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def required(self, name: str) -> str:
        if not self._values.get(name):
            raise InvalidInput(f"'{self._analysis}' needs --{name}.", f"Give --{name} COLUMN.")
        return self._values[name]

    def number(self, name: str, default: float) -> float:
        return read_number(name, self._values[name]) if name in self._values else default

    def whole(self, name: str, default: int, most: int) -> int:
        """A whole number from 1 to `most`."""
        value = self.number(name, default)
        if not (1 <= value <= most and value == int(value)):
            raise InvalidInput(f"--{name} takes a whole number from 1 to {most}.", f"Usual is {default}.")
        return int(value)

    def numbers(self, name: str) -> tuple[float, ...]:
        return tuple(read_number(name, part) for part in self.words(name))

    def words(self, name: str) -> tuple[str, ...]:
        """The parts between commas; each may occur once."""
        parts = tuple(part.strip() for part in self.required(name).split(","))
        if "" in parts or len(set(parts)) != len(parts):
            raise InvalidInput(f"--{name} takes different names between commas.", f"For example --{name} a,b.")
        return parts

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        """One of the words allowed."""
        value = self._values.get(name, default).lower()
        if value not in allowed:
            raise InvalidInput(f"--{name} takes one of {', '.join(allowed)}.", f"Usual is {default}.")
        return value

    def flag(self, name: str) -> bool:
        value = self._values.get(name, "no").lower()
        if value not in _YES | _NO:
            raise InvalidInput(f"--{name} takes no value.", f"Write --{name} or leave it out.")
        return value in _YES

    def confidence(self) -> float:
        """The coverage of intervals, 0.95 unless given."""
        return check_confidence(self.number("confidence", 0.95))


def read_number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidInput(f"--{name} takes a number.", f"For example --{name} 30.")
    return value


def check_confidence(confidence: float) -> float:
    if not 0.5 <= confidence < 1:
        raise InvalidPlan("The confidence of an interval is at least 0.5 and below 1.", "Usual is 0.95.")
    return confidence


class _Question(Protocol):
    def parameters(self) -> dict[str, Json]: ...


_Q = TypeVar("_Q", bound=_Question)


def read_back(build: Callable[[Mapping[str, Any]], _Q], parameters: Mapping[str, Any]) -> _Q:
    """The question of these parameters, which must be exactly what it would write itself.

    Raises
    ------
    InvalidPlan
        For unknown, missing, ill-typed or ill-spelled parts.
    """
    try:
        question = build(parameters)
        faithful = canonical(question.parameters()) == canonical(dict(parameters))
    except InvalidPlan:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, InvalidInput):
        raise InvalidPlan("The parameters of the Plan's analysis cannot be read.", "Plan again.") from None
    if not faithful:
        raise InvalidPlan("The parameters of the Plan's analysis are not in their canonical form.", "Plan again.")
    return question
