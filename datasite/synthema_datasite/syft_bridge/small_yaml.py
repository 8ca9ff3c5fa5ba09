"""YAML that somebody else wrote: small, shallow, without aliases, plain values only."""

from __future__ import annotations

import yaml

from synthema_core.errors import InvalidInput

LARGEST_YAML = 64_000
_MOST_EVENTS = 5_000
_DEEPEST = 12


def read_yaml(content: bytes, name: str) -> object:
    """What it holds, or InvalidInput. `name` is what messages call it."""
    bad = InvalidInput(f"{name} cannot be read.", "It is small YAML, without anchors, in UTF-8.")
    if len(content) > LARGEST_YAML:
        raise bad
    try:
        text = content.decode()
        if not _is_simple(text):
            raise bad
        value: object = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError):
        raise bad from None
    return value


def _is_simple(text: str) -> bool:
    """Decided event by event, before anything is built of it."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if isinstance(event, yaml.AliasEvent) or depth > _DEEPEST or number > _MOST_EVENTS:
            return False
    return True
