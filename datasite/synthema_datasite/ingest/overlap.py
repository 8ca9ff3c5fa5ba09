"""Which Datasets of a site have patients in common: found by their identifiers, which stay where the rows are."""

from __future__ import annotations

from collections.abc import Iterable

from synthema_core.errors import InvalidInput, Unavailable
from synthema_core.policy import Policy
from synthema_core.ports import JournalReader
from synthema_core.schemas import Schema
from synthema_datasite.ingest.checks import Value
from synthema_datasite.service.records import DATASETS
from synthema_datasite.state import SiteState


def overlapping(state: SiteState, journal: JournalReader, name: str, patients: Iterable[Value]) -> list[str]:
    """The other Datasets of which any version has one of these patients, by name.

    All versions: what was told about a patient of an earlier one was told. Case and surrounding spaces do not make
    another patient. An identifier that two Datasets use for different people counts as one: give one of them another.

    Raises
    ------
    Unavailable
        If the rows of another Dataset cannot be read.
    """
    here = {_folded(patient) for patient in patients}
    streams = [stream for stream in journal.streams(DATASETS) if stream != DATASETS + name]
    return [stream.removeprefix(DATASETS) for stream in streams if _any_known(state, journal, stream, here)]


def check_one_budget(policy: Policy, name: str, overlaps: Iterable[str]) -> None:
    """Raise InvalidInput if the Policy would give the patients of `name` and of one that it overlaps two Budgets."""
    apart = [other for other in overlaps if policy.patients_of(other) != policy.patients_of(name)]
    if apart:
        raise InvalidInput(
            f"This table has patients who are also in the dataset '{apart[0]}', under another budget.",
            "Give both datasets the same 'patients' in policy.toml; nothing was taken in.",
        )


def _any_known(state: SiteState, journal: JournalReader, stream: str, patients: set[str]) -> bool:
    from pyarrow import ArrowException, parquet

    for entry in journal.entries(stream):
        column = Schema.from_dict(entry.body["schema"]).patient_id
        try:
            known = parquet.read_table(state.folder / str(entry.body["path"]), columns=[column])[column]
        except (OSError, ArrowException):
            raise Unavailable(
                f"The rows of the dataset '{stream.removeprefix(DATASETS)}' cannot be read, to compare its patients.",
                "Restore them from a backup; nothing was taken in.",
            ) from None
        if not patients.isdisjoint(_folded(patient) for patient in known.to_pylist()):
            return True
    return False


def _folded(patient: Value) -> str:
    return str(patient).strip().casefold()
