"""What code printed, made fit to be looked at."""

from __future__ import annotations

import re
import unicodedata

_PLAIN = re.compile(r"[\n\t -~]*")


class Log:
    """The first and the last part of a stream: an endless one costs no memory, and an error's end is not lost.

    Parameters
    ----------
    most_bytes
        Kept, both parts together.
    """

    def __init__(self, most_bytes: int) -> None:
        self._head, self._tail = bytearray(), bytearray()
        self._half = most_bytes // 2
        self._dropped = 0

    def add(self, piece: bytes) -> None:
        room = max(0, self._half - len(self._head))
        self._head += piece[:room]
        self._tail += piece[room:]
        surplus = max(0, len(self._tail) - self._half)
        self._dropped += surplus
        del self._tail[:surplus]

    def text(self) -> str:
        gap = f"\n[{self._dropped:,} bytes left out]\n".encode() if self._dropped else b""
        return printable(bytes(self._head + gap + self._tail))


def printable(content: bytes) -> str:
    """As text, with a sign in place of all that moves a cursor, turns the writing direction or hides."""
    text = content.decode("utf-8", errors="replace").replace("\r\n", "\n")
    if _PLAIN.fullmatch(text):
        return text
    return "".join(sign if sign in "\n\t" or _shows(sign) else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _shows(sign: str) -> bool:
    return unicodedata.category(sign) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
