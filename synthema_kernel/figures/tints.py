"""Colours of the levels of a category, in their order, where bars are cut into shares."""

from __future__ import annotations

TINTS = ("#0b3c5d", "#2f7fb8", "#8fc1e3", "#d5e8f5", "#f3d9b1", "#e59866", "#b9502c", "#6e2c00")
NONE = "#eceff2"
"""What is not shown."""


def is_dark(place: int) -> bool:
    """Whether white reads better on that tint."""
    return place % len(TINTS) in (0, 1, 6, 7)
