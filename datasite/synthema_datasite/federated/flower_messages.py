"""Job messages as Flower records: all in one ConfigRecord, because Flower moves each array as objects of its own."""

from __future__ import annotations

from flwr.app import ConfigRecord, RecordDict

from synthema_core import wire
from synthema_core.errors import IntegrityFailure

_RECORD = "job"


def encode(message: wire.JobMessage) -> RecordDict:
    return RecordDict({_RECORD: ConfigRecord(wire.to_fields(message))})


def decode(records: RecordDict) -> wire.JobMessage:
    record = records.get(_RECORD)
    if not isinstance(record, ConfigRecord):
        raise IntegrityFailure("A message of a Job cannot be read.")
    return wire.from_fields(record)
