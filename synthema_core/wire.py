"""What hub and sites say to each other during a Job: a kind, a small JSON body, at most one array.

Flower carries these; each zone's `federated/` turns them into Flower's records and back.

==========  =====================================================  =====================================
kind        body                                                   array
==========  =====================================================  =====================================
open        job, request, plan_digest                              -
announced   job, announcement, spent                               -
roster      job, roster                                            -
dealt       job, sealed (by receiver)                              -
round       job, round; until a site has answered one, roster or,  the Round's input, float64
            where shares were dealt, dealt (by sender)
masked      job, round                                             the masked Contribution, uint64
unmask      job, round, survivors                                  -
signed      job, round, signature                                  -
certified   job, round, signatures                                 -
revealed    job, round, shares                                     -
close       job                                                    -
closed      job                                                    -
refused     error (its wire form)                                  -
==========  =====================================================  =====================================

`roster` to `dealt` and `unmask` to `revealed` are for Jobs whose Rounds can do without some sites; `signed` and
`certified` for Rounds in which some are missing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from synthema_core.errors import IntegrityFailure

Array: TypeAlias = "NDArray[np.float64] | NDArray[np.uint64]"


class Kind(StrEnum):
    OPEN = "open"
    ANNOUNCED = "announced"
    ROSTER = "roster"
    DEALT = "dealt"
    ROUND = "round"
    MASKED = "masked"
    UNMASK = "unmask"
    SIGNED = "signed"
    CERTIFIED = "certified"
    REVEALED = "revealed"
    CLOSE = "close"
    CLOSED = "closed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class JobMessage:
    """One message of a Job."""

    kind: Kind
    body: Mapping[str, Any] = field(default_factory=dict)
    array: Array | None = None

    def text(self, key: str) -> str:
        """The string at `key`, or IntegrityFailure."""
        value = self.body.get(key)
        if not isinstance(value, str):
            raise IntegrityFailure(f"A '{self.kind}' message lacks its '{key}'.")
        return value

    def count(self, key: str) -> int:
        """The whole number at `key`, or IntegrityFailure."""
        value = self.body.get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise IntegrityFailure(f"A '{self.kind}' message lacks its '{key}'.")
        return value

    def mapping(self, key: str) -> Mapping[str, Any]:
        """The object at `key`, or IntegrityFailure."""
        value = self.body.get(key)
        if not isinstance(value, Mapping):
            raise IntegrityFailure(f"A '{self.kind}' message lacks its '{key}'.")
        return value

    def texts(self, key: str) -> list[str]:
        """The strings at `key`, or IntegrityFailure."""
        value = self.body.get(key)
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise IntegrityFailure(f"A '{self.kind}' message lacks its '{key}'.")
        return value

    def values(self) -> NDArray[np.float64]:
        """The Round's input, or IntegrityFailure."""
        if self.array is None or self.array.dtype != np.float64 or self.array.ndim != 1:
            raise IntegrityFailure("A round's input must be one row of float64.")
        return self.array  # type: ignore[return-value]

    def ring(self) -> NDArray[np.uint64]:
        """The masked Contribution, or IntegrityFailure."""
        if self.array is None or self.array.dtype != np.uint64 or self.array.ndim != 1:
            raise IntegrityFailure("A masked contribution must be one row of uint64.")
        return self.array  # type: ignore[return-value]


_DTYPES: Mapping[str, Any] = {"float64": np.dtype("<f8"), "uint64": np.dtype("<u8")}


def to_fields(message: JobMessage) -> dict[str, str | bytes]:
    """The message as flat fields, which any carrier of named texts and bytes can take in one piece."""
    head = {"kind": message.kind.value, "body": dict(message.body)}
    fields: dict[str, str | bytes] = {"head": json.dumps(head)}
    if message.array is None:
        return fields
    name = str(message.array.dtype)
    return {**fields, "dtype": name, "array": np.ascontiguousarray(message.array, dtype=_DTYPES[name]).tobytes()}


def from_fields(fields: Mapping[str, Any]) -> JobMessage:
    """The message of these fields, whoever sent them. Raises IntegrityFailure for anything else."""
    try:
        head = json.loads(fields["head"])
        array = np.frombuffer(fields["array"], dtype=_DTYPES[fields["dtype"]]) if "array" in fields else None
        return JobMessage(Kind(head["kind"]), dict(head["body"]), array)
    except (TypeError, ValueError, KeyError, RecursionError):
        raise IntegrityFailure("A message of a Job cannot be read.") from None
