"""Text that code puts together from pieces, as it would be: ``"ev" + "al"``; and the constants in expressions."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_DEEPEST = 30
_LONGEST = 400
_MOST_PIECES = 64
_MOST_NODES = 64

Constant = str | bytes | int | float


def folded(node: ast.expr, depth: int = 0) -> str | None:
    """The text that `node` makes; None if that cannot be told from the expression alone, or is long."""
    if depth > _DEEPEST:
        return None
    match node:
        case ast.Constant(value=str() as text) if len(text) <= _LONGEST:
            return text
        case ast.Constant(value=bytes() as raw) if len(raw) <= _LONGEST:
            return raw.decode("latin-1")
        case ast.BinOp(op=ast.Add()):
            return _joined([node.left, node.right], "", depth)
        case ast.JoinedStr():
            return _joined([v.value if isinstance(v, ast.FormattedValue) else v for v in node.values], "", depth)
        case ast.Subscript(slice=ast.Slice(lower=None, upper=None, step=ast.UnaryOp(operand=ast.Constant(value=1)))):
            inner = folded(node.value, depth + 1)
            return None if inner is None else inner[::-1]
        case ast.Call():
            return _called(node, depth)
    return None


def _called(node: ast.Call, depth: int) -> str | None:
    match node:
        case ast.Call(func=ast.Name(id="chr"), args=[ast.Constant(value=int() as point)]) if 0 <= point < 0x110000:
            return chr(point)
        case ast.Call(func=ast.Attribute(value=glue, attr="join"), args=[ast.List() | ast.Tuple() as pieces]):
            between = folded(glue, depth + 1)
            return None if between is None else _joined(pieces.elts, between, depth)
        case ast.Call(
            func=ast.Attribute(value=inner, attr="decode" | "encode" | "lower" | "upper" | "strip" as method)
        ):
            text = folded(inner, depth + 1)
            return str(getattr(text, method)()) if text is not None and method in ("lower", "upper") else text
        case ast.Call(func=ast.Attribute(value=inner, attr="replace"), args=[old, new]):
            parts = [folded(part, depth + 1) for part in (inner, old, new)]
            return None if None in parts else str(parts[0]).replace(str(parts[1]), str(parts[2]))[:_LONGEST]
        case ast.Call(func=ast.Name(id="bytes" | "bytearray"), args=[ast.List() | ast.Tuple() as numbers]):
            points = [item.value for item in numbers.elts[:_LONGEST] if isinstance(item, ast.Constant)]
            return "".join(chr(point) for point in points if isinstance(point, int) and 0 <= point < 256)
    return None


def _joined(pieces: list[ast.expr], between: str, depth: int) -> str | None:
    texts = [folded(piece, depth + 1) for piece in pieces[:_MOST_PIECES]]
    whole = between.join(text for text in texts if text is not None)
    return whole if None not in texts and len(whole) <= _LONGEST else None


def constants(node: ast.AST) -> Iterator[Constant]:
    """The numbers and texts within an expression, of its first nodes; those inside calls' own arguments too."""
    stack, seen = [node], 0
    while stack and seen < _MOST_NODES:
        inner = stack.pop()
        seen += 1
        if isinstance(inner, ast.Constant) and isinstance(inner.value, Constant) and not isinstance(inner.value, bool):
            yield inner.value
        stack.extend(ast.iter_child_nodes(inner))
