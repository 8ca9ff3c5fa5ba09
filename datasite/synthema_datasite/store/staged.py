"""What code put out, on disk until its release decision: numbers as safetensors, the report as JSON, written once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
from safetensors.numpy import load, save

from synthema_core.canonical import Json, canonical
from synthema_core.code.outputs import Arrays, Outputs
from synthema_core.errors import IntegrityFailure, NotFound, Unavailable
from synthema_core.secure_sum.layout import Floats
from synthema_datasite.store.paths import output_path, report_path


def write_output(folder: Path, values: Floats, outputs: Outputs) -> str:
    """SHA-256 of the file that was written."""
    arrays = {name: array.copy() for name, array in outputs.unflatten(values).items()}
    return _write(output_path(folder), save(arrays))


def write_report(folder: Path, report: Mapping[str, Json]) -> str:
    """SHA-256 of the file that was written."""
    return _write(report_path(folder), canonical(dict(report)))


def read_arrays(path: Path, sha256: str) -> Arrays:
    """The staged arrays by name; IntegrityFailure unless they are the ones that were journalled."""
    try:
        return load(_read(path, sha256))
    except safetensors.SafetensorError:
        raise IntegrityFailure("The staged output cannot be read.", "Restore it from a backup.") from None


def read_values(path: Path, sha256: str, outputs: Outputs) -> Floats:
    """The staged values, (outputs.length,)."""
    values = outputs.flatten(read_arrays(path, sha256))
    if values is None:
        raise IntegrityFailure("The staged output is not what the Plan declares.")
    return values


def read_report(folder: Path, sha256: str) -> dict[str, Any]:
    return dict(json.loads(_read(report_path(folder), sha256)))


def _read(path: Path, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError:
        raise NotFound("What was staged is not where it was put.", "Restore it from a backup.") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise IntegrityFailure("What was staged has been changed since.", "Restore it from a backup.")
    return content


def _write(path: Path, content: bytes) -> str:
    """On disk before it is journalled: a journal must not promise what a power cut takes back."""
    fresh = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise Unavailable(f"What was computed cannot be written: {error.strerror}.", "Make room on the disk.") from None
    return hashlib.sha256(content).hexdigest()
