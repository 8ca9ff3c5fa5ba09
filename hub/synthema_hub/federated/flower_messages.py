"""Job messages as Flower carries them: fields within the message, a large array beside it.

Flower's own way is to send all content after its message, in parts, each an object of its own and a call or two of the
SuperLink's one process. What a message holds itself is stored and handed on just as well; but is copied at every step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flwr.app import ConfigRecord, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_object_id
from google.protobuf.message import DecodeError

from synthema_core import wire
from synthema_core.errors import IntegrityFailure

LARGE_BYTES = 1 << 18
_RECORD, _ARRAY = "job", "array"


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message.

    Parameters
    ----------
    content
        What the message holds itself.
    parts
        What goes beside it, by the digest under which Flower knows it.
    """

    content: RecordDict
    parts: Mapping[str, bytes]


def pack(message: wire.JobMessage) -> Parcel:
    fields = wire.to_fields(message)
    parts = {}
    if len(fields.get(_ARRAY, b"")) > LARGE_BYTES:
        part = ConfigRecord({_ARRAY: fields.pop(_ARRAY)}).deflate()
        parts[get_object_id(part)] = part
    return Parcel(RecordDict({_RECORD: ConfigRecord(fields)}), parts)


def unpack(parcel: Parcel) -> wire.JobMessage:
    """Raises IntegrityFailure for anything that `pack` does not make."""
    record = parcel.content.get(_RECORD)
    if not isinstance(record, ConfigRecord):
        raise IntegrityFailure("A message of a Job cannot be read.")
    fields = dict(record)
    try:
        for part in parcel.parts.values():
            fields.update(ConfigRecord.inflate(part))
    except (ValueError, TypeError, DecodeError):
        raise IntegrityFailure("A message of a Job cannot be read.") from None
    return wire.from_fields(fields)
