"""One spelling for every JSON value, so that equal things have equal digests.

Sorted keys, no white space, UTF-8, no NaN or infinity. Floats keep Python's shortest round-trip spelling,
which is the same on every platform we run on.
"""

from __future__ import annotations

import hashlib
import json
from typing import TypeAlias

from synthema_core.errors import InvalidInput

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"


def canonical(value: object) -> bytes:
    """The canonical JSON of `value`.

    Raises
    ------
    InvalidInput
        For anything JSON cannot hold, NaN and infinity included.
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"This value has no canonical JSON form: {error}.") from None


def digest(value: object) -> str:
    """SHA-256 over the canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()
