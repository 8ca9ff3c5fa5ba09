"""An expression as a tree of our own: what was read, before a schema gives it a meaning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Name:
    """A column."""

    name: str


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it stands in the text; a minus before it is an operation."""

    value: float


@dataclass(frozen=True, slots=True)
class Text:
    """A code of a category."""

    value: str


@dataclass(frozen=True, slots=True)
class Truth:
    """True or False."""

    value: bool


@dataclass(frozen=True, slots=True)
class Negative:
    """Minus something."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a condition."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`sign` is one of ``+ - * /``."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Comparison:
    """`sign` is one of ``== != < <= > >=``."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Membership:
    """Whether something is one of several codes or numbers."""

    operand: Node
    values: tuple[Text | Number, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class Joined:
    """Conditions between which stands `word`: ``and`` or ``or``."""

    word: str
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the language.

    Parameters
    ----------
    groups
        What ``recode`` makes of a column: (new code, the codes it stands for).
    """

    function: str
    arguments: tuple[Node, ...]
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()


Node: TypeAlias = Name | Number | Text | Truth | Negative | Not | Arithmetic | Comparison | Membership | Joined | Call


def children(node: Node) -> tuple[Node, ...]:
    """What a node is made of, from left to right."""
    match node:
        case Negative(operand) | Not(operand) | Membership(operand):
            return (operand,)
        case Arithmetic(_, left, right) | Comparison(_, left, right):
            return (left, right)
        case Joined(_, parts):
            return parts
        case Call(_, arguments):
            return arguments
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and everything in it."""
    yield node
    for child in children(node):
        yield from walk(child)
