"""A dataset of syft, its private table, taken in as a Dataset version through every check of `ingest`.

Its mock is neither read nor shown: ours is made from the Schema, and holds nothing of a patient. syft's packages say
where a dataset lies; what lies there is read by file descriptors, without following a link.
"""

from __future__ import annotations

import csv
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synthema_core.errors import InvalidInput, InvalidRows, NotFound
from synthema_datasite.ingest import ingest
from synthema_datasite.service.records import DatasetRecord
from synthema_datasite.service.site import Site
from synthema_datasite.syft_bridge.installed import syft_package
from synthema_datasite.syft_bridge.small_yaml import LARGEST_YAML, read_yaml
from synthema_datasite.syft_bridge.untrusted import names, opened_file, opened_folder, read_file, shown

_EMAIL = re.compile(r"[A-Za-z0-9_%+-][A-Za-z0-9._%+-]*@[A-Za-z0-9.-]+")
_PUBLIC, _PRIVATE, _PERMISSIONS = "dataset.yaml", "private_metadata.yaml", "syft.pub.yaml"
_CSV, _PARQUET = ".csv", ".parquet"
_LARGEST_TABLE, _MOST_VALUES, _MOST_FILES = 1 << 30, 100_000_000, 100


def import_dataset(
    site: Site, syftbox: Path, owner: str, name: str, schema: Path, by: str, *, named: str = ""
) -> DatasetRecord:
    """Take the one private table of a syft dataset in as the next version of a Dataset.

    Parameters
    ----------
    syftbox, owner, name
        The SyftBox folder, the e-mail address whose folder in it is meant, and the dataset there.
    named
        What the Dataset is called here, if not as in syft.

    Raises
    ------
    Unavailable
        If syft's packages are not installed, or as `ingest` does.
    NotFound, InvalidInput
        If there is no such dataset, it is no dataset of syft, a link or a folder outside the SyftBox is in the way, it
        has several tables, or what `ingest` finds.
    """
    root = syftbox.resolve()
    private = _private_names(root, owner, name)
    with opened_folder(root, private) as folder:
        table = _only_table(names(folder, _MOST_FILES))
        with tempfile.TemporaryDirectory(prefix=".syft-", dir=site.state.folder) as here:
            copy = Path(here) / f"table{Path(table).suffix.lower()}"
            with opened_file(folder, table, _LARGEST_TABLE) as source, copy.open("xb") as target:
                shutil.copyfileobj(source, target)
            return _take_in(site, copy, table, named or name, schema, by)


def _private_names(root: Path, owner: str, name: str) -> tuple[str, ...]:
    """The names that lead from the SyftBox to the dataset's private folder, once it is known to be one of syft's."""
    if not _EMAIL.fullmatch(owner):
        raise InvalidInput(f"'{shown(owner)}' is no e-mail address.", "Name the folder in the SyftBox that is meant.")
    package = syft_package("syft_datasets")
    storage = package.DatasetStorage(config=package.SyftBoxConfig(syftbox_folder=root, email=owner))
    try:
        reference = storage.find_dataset_ref(owner, name)
    except OSError:
        raise NotFound(f"'{owner}' has no dataset '{shown(name)}' in this SyftBox.", "See its public folder.") from None
    public = storage.metadata_path(reference).relative_to(root).parts
    private = storage.private_metadata_path(reference).relative_to(root).parts
    _check_simple(root, public)
    _check_simple(root, private)
    _check_one_dataset(storage, reference, root.joinpath(*private[:-1]))
    return private[:-1]


def _check_simple(root: Path, path: tuple[str, ...]) -> None:
    """Before syft's own code, which follows links and reads any YAML, opens the file."""
    with opened_folder(root, path[:-1]) as folder:
        read_yaml(read_file(folder, path[-1], LARGEST_YAML), shown(path[-1]))


def _check_one_dataset(storage: Any, reference: Any, private: Path) -> None:
    """Raise InvalidInput unless syft reads both halves as one dataset, whose rows lie in `private`."""
    try:
        public, config = storage.read_dataset(reference), storage.read_private_config(reference)
        same, place = public.uid == config.uid, Path(config.data_dir)
    except (
        Exception
    ):  # of pydantic, yaml, syft_migration or none: syft declares no errors for files that are not its own
        raise InvalidInput("syft cannot read this dataset's description.", "See its two .yaml files.") from None
    if not same:
        raise InvalidInput("The public and the private half are of two datasets.", "Make it again in syft.")
    if place.resolve() != private.resolve():
        raise InvalidInput(
            "The dataset's rows lie outside its private folder in this SyftBox.",
            "Make it again in syft, or `ingest` them.",
        )


def _only_table(found: list[str]) -> str:
    tables = [name for name in found if name not in (_PRIVATE, _PERMISSIONS)]
    if len(tables) != 1:
        raise InvalidInput(
            f"The dataset has {len(tables)} private files.", "Synthema takes one table: a CSV or Parquet file."
        )
    if Path(tables[0]).suffix.lower() not in (_CSV, _PARQUET):
        raise InvalidInput(f"'{shown(tables[0])}' is no table.", "Synthema takes a CSV or Parquet file.")
    return tables[0]


def _take_in(site: Site, copy: Path, table: str, name: str, schema: Path, by: str) -> DatasetRecord:
    path = copy if copy.suffix == _CSV else _as_csv(copy, table)
    try:
        return ingest(site.state, site.journal, path, name, schema, by, site.now())
    except InvalidRows as error:  # of the copy, which nobody knows
        raise InvalidRows(error.message.replace(str(path), shown(table)), error.hint) from None


def _as_csv(parquet_file: Path, table: str) -> Path:
    """The same table as text, as `ingest` reads it: what is missing is empty."""
    import pyarrow as pa
    from pyarrow import parquet

    path = parquet_file.with_suffix(_CSV)
    try:
        with parquet.ParquetFile(parquet_file) as file, path.open("x", newline="", encoding="utf-8") as target:
            if file.metadata.num_rows * file.metadata.num_columns > _MOST_VALUES:
                raise InvalidRows(f"'{shown(table)}' holds more than {_MOST_VALUES:,} values.", "Nothing was taken in.")
            writer = csv.writer(target)
            writer.writerow(file.schema_arrow.names)
            for batch in file.iter_batches():
                writer.writerows(_lines(batch, table))
    except (pa.ArrowException, OSError, UnicodeError):
        raise InvalidRows(f"'{shown(table)}' is no Parquet file.", "Export it again, or as CSV.") from None
    return path


def _lines(batch: Any, table: str) -> Iterator[list[str]]:
    columns = [column.to_pylist() for column in batch.columns]
    for values in zip(*columns, strict=True):
        yield [_spelled(value, table) for value in values]


def _spelled(value: object, table: str) -> str:
    if value is None or value != value:  # NaN is what pandas writes for missing
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | str):
        return str(value)
    raise InvalidRows(f"'{shown(table)}' holds values that are no number or text.", "Export it as CSV.")
