"""From the tree to the one text that is its canonical spelling: what a Plan carries, and people read."""

from __future__ import annotations

from synthema_core.cohort.reading import spelled
from synthema_core.cohort.tree import (
    Arithmetic,
    Call,
    Comparison,
    Joined,
    Membership,
    Name,
    Negative,
    Node,
    Not,
    Number,
    Text,
    Truth,
)

_OR, _AND, _NOT, _COMPARED, _SUM, _PRODUCT, _SIGNED, _WHOLE = range(8)
"""How tightly signs bind, loosest first."""


def spell(node: Node) -> str:
    """Brackets only where they are needed."""
    return _spell(node, _OR)


def _spell(node: Node, around: int) -> str:
    text, own = _text(node)
    return f"({text})" if own < around else text


def _text(node: Node) -> tuple[str, int]:  # noqa: C901  one line a node
    match node:
        case Name(name):
            return name, _WHOLE
        case Number(value):
            return (spelled(value), _WHOLE) if value >= 0 else (spelled(value), _SIGNED)
        case Text(value):
            return quoted(value), _WHOLE
        case Truth(value):
            return str(value), _WHOLE
        case Negative(operand):
            return f"-{_spell(operand, _SIGNED)}", _SIGNED
        case Not(operand):
            return f"not {_spell(operand, _NOT)}", _NOT
        case Arithmetic(sign, left, right):
            own = _SUM if sign in "+-" else _PRODUCT
            return f"{_spell(left, own)} {sign} {_spell(right, own + 1)}", own
        case Comparison(sign, left, right):
            return f"{_spell(left, _SUM)} {sign} {_spell(right, _SUM)}", _COMPARED
        case Membership(operand, values, negated):
            listed = ", ".join(_spell(value, _OR) for value in values) + ("," if len(values) == 1 else "")
            return f"{_spell(operand, _SUM)} {'not in' if negated else 'in'} ({listed})", _COMPARED
        case Joined(word, parts):
            own = _AND if word == "and" else _OR
            return f" {word} ".join(_spell(part, own + 1) for part in parts), own
        case Call(function, arguments, groups):
            told = [_spell(argument, _OR) for argument in arguments]
            told += [f"{code}={_codes(codes)}" for code, codes in groups]
            return f"{function}({', '.join(told)})", _WHOLE


def _codes(codes: tuple[str, ...]) -> str:
    return quoted(codes[0]) if len(codes) == 1 else f"({', '.join(map(quoted, codes))})"


def quoted(text: str) -> str:
    return f'"{text}"' if "'" in text else f"'{text}'"
