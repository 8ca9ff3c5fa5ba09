"""What a worker is told to do, as its server writes it, all of it from the claim. See `assembly` for the reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from synthema_core.canonical import Json
from synthema_datasite.service.claims import Claim
from synthema_datasite.service.earlier_outputs import EarlierOutput


def specification(claim: Claim, site: str, rows: Path, salt: bytes, folder: Path, sandbox: str) -> dict[str, Any]:
    """JSON for the worker of this claim.

    Parameters
    ----------
    rows
        The Parquet file of the claimed Dataset version.
    folder
        Of the Job.
    sandbox
        Name of the backend for code.
    """
    record = claim.dataset
    staged: Json = None
    if claim.staged is not None:
        staged = {"path": str(claim.staged.path), "sha256": claim.staged.sha256}
    return {
        "job": claim.job,
        "site": site,
        "folder": str(folder),
        "plan": claim.plan.to_dict(),
        "left_out": list(claim.left_out),
        "staged": staged,
        "sandbox": sandbox,
        "numbers_per_patient": claim.numbers_per_patient,
        "earlier": [_earlier(output) for output in claim.earlier],
        "earlier_cohorts": [cohort.to_dict() for cohort in claim.earlier_cohorts],
        "dataset": {
            "path": str(rows),
            "schema": record.facts.schema.to_dict(),
            "sha256": record.sha256,
            "commitment": record.facts.commitment,
            "salt": salt.hex(),
        },
    }


def _earlier(output: EarlierOutput) -> dict[str, Json]:
    return {
        "label": output.label,
        "path": str(output.path),
        "sha256": output.sha256,
        "outputs": output.outputs.to_list(),
        "left_out": list[Json](output.left_out),
    }
