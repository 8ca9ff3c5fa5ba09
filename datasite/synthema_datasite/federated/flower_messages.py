"""Job messages as Flower records: one ConfigRecord with the header, at most one ArrayRecord."""

from __future__ import annotations

import json

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, RecordDict

from synthema_core import wire
from synthema_core.errors import IntegrityFailure


def encode(message: wire.JobMessage) -> RecordDict:
    records = RecordDict({"header": ConfigRecord({"json": json.dumps(wire.header(message))})})
    if message.array is not None:
        records["array"] = ArrayRecord([np.ascontiguousarray(message.array)])
    return records


def decode(records: RecordDict) -> wire.JobMessage:
    try:
        data = json.loads(records["header"]["json"])
        array = records["array"].to_numpy_ndarrays()[0] if "array" in records else None
    except (KeyError, TypeError, ValueError, IndexError):
        raise IntegrityFailure("A message of a Job cannot be read.") from None
    return wire.from_header(data, array)
