"""Python source as HTML, a line at a time: coloured for reading, and so that nothing in it can hide."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from markupsafe import Markup
from pygments.lexers.python import PythonLexer
from pygments.token import (
    Comment,
    Error,
    Keyword,
    Literal,
    Name,
    Number,
    Operator,
    String,
    _TokenType,
)

#: The nearest ancestor of a token's type decides. Classes are in style.css.
_CLASSES: Mapping[_TokenType, str] = {
    Comment: "c",
    Keyword: "k",
    Keyword.Constant: "m",
    Name.Builtin: "b",
    Name.Class: "f",
    Name.Decorator: "d",
    Name.Exception: "b",
    Name.Function: "f",
    Literal: "m",
    Number: "m",
    String: "s",
    String.Doc: "c",
    String.Interpol: "k",
    Operator.Word: "k",
    Error: "e",
}


def highlighted_lines(source: str) -> list[Markup]:
    """One safe piece of HTML for each line of the source, as Python counts lines.

    What a browser would not show, or would let move other text (a change of direction, no width), is spelled out; a
    letter that only looks like one of the Latin alphabet is marked where it stands in a name.
    """
    text = source.replace("\r\n", "\n").replace("\r", "\n")
    lines: list[list[str]] = [[]]
    for _, kind, token in PythonLexer().get_tokens_unprocessed(text):  # `get_tokens` would take signs away first
        first, *more = token.split("\n")
        lines[-1].append(_piece(kind, first))
        lines.extend([_piece(kind, part)] for part in more)
    if text.endswith("\n") or not text:
        lines.pop()
    return [Markup("".join(pieces)) for pieces in lines]  # noqa: S704  every piece is escaped


def _piece(kind: _TokenType, text: str) -> str:
    """Safe HTML."""
    if not text:
        return ""
    content = escape(text) if text.isprintable() else "".join(_visible(sign) for sign in text)
    if not text.isascii() and kind in Name:
        content = f'<span class="odd" title="Not only letters of the Latin alphabet">{content}</span>'
    name = _class_of(kind)
    return f'<span class="{name}">{content}</span>' if name else content


def _class_of(kind: _TokenType) -> str:
    while kind is not None:
        if kind in _CLASSES:
            return _CLASSES[kind]
        kind = kind.parent
    return ""


def _visible(sign: str) -> str:
    if sign.isprintable() or sign == "\t":
        return escape(sign)
    return f'<span class="odd" title="A sign that does not show">U+{ord(sign):04X}</span>'
