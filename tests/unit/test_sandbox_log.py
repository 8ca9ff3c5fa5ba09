"""What code printed, as a steward sees it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthema_core.sandbox.log_text import Log, printable


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"hello\n\tworld\r\n", "hello\n\tworld\n"),
        ("Grüße 你好\n".encode(), "Grüße 你好\n"),
        (b"\x1b[2J\x1b]0;title\x07", "�[2J�]0;title�"),
        (b"approved\rrejected", "approved�rejected"),
        ("\u202eevil\u2066\u200b\u2028".encode(), "�evil���"),
        (b"\xff\xfe", "��"),
        (b"\x00\x7f\xc2\x9b", "���"),
    ],
)
def test_nothing_moves_a_cursor_turns_the_text_or_hides(said: bytes, shown: str) -> None:
    assert printable(said) == shown


@given(st.binary(max_size=300))
def test_any_bytes_can_be_shown(said: bytes) -> None:
    assert all(sign.isprintable() or sign in "\n\t" or sign.isspace() for sign in printable(said))


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(2, 100))
def test_a_log_keeps_its_first_and_its_last_part(pieces: list[bytes], most: int) -> None:
    log = Log(most)
    for piece in pieces:
        log.add(piece)
    said = b"".join(pieces)
    if len(said) <= 2 * (most // 2):
        assert log.text() == printable(said)
    else:
        half = most // 2
        dropped = len(said) - 2 * half
        assert log.text() == printable(said[:half] + f"\n[{dropped:,} bytes left out]\n".encode() + said[-half:])
