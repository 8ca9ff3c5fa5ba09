"""Moments in time as the journal writes them: ISO 8601, UTC, whole seconds or finer, always ending in 'Z'.

Such strings sort as the moments do. Nothing in core reads a clock: `now` is passed in.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from synthema_core.errors import InvalidInput


def spell(moment: datetime) -> str:
    """`moment` as text. It must know its time zone."""
    if moment.tzinfo is None:
        raise InvalidInput("A moment without a time zone is ambiguous.")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise InvalidInput(f"'{text}' is not a moment in ISO 8601.", "Write 2026-11-30T12:00:00Z.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def days_later(text: str, days: float) -> str:
    return spell(read(text) + timedelta(days=days))
