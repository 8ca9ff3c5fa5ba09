"""A worker put together as it was told: what its `specification` says, as a Contributor or a run of code."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from synthema_core.analyses import from_plan
from synthema_core.analyses.base import Analysis
from synthema_core.analyses.diffprivlib_model import DiffprivlibModel
from synthema_core.code.outputs import Outputs
from synthema_core.code.questions import Aggregate, CodeQuestion, PerBlock, PerPatient
from synthema_core.code.references import selected
from synthema_core.cohort import Cohort
from synthema_core.commitment import block_key, bounding_key
from synthema_core.disclosure import Earlier
from synthema_core.errors import IntegrityFailure, InvalidPlan, NotFound, Unavailable
from synthema_core.plan import Plan
from synthema_core.schemas import Schema
from synthema_core.staged import StagedQuestion, outputs_of
from synthema_datasite.store.job_folder import JobFolder
from synthema_datasite.store.parquet import ParquetRows
from synthema_datasite.store.staged import read_values
from synthema_datasite.worker.code_run import CodeRun, run_code
from synthema_datasite.worker.contributions import Contribution, OfCode, OfEngine, OfStaged, OpenSandbox
from synthema_datasite.worker.contributor import Contributor
from synthema_datasite.worker.model_run import run_model


def contributor_of(told: Mapping[str, Any]) -> Contributor:
    """One site's part in the specified Job."""
    plan = Plan.from_dict(told["plan"])
    analysis = from_plan(plan.analysis, plan.parameters)
    left_out = None
    if told["left_out"]:
        left_out = selected(told["left_out"], _outputs(analysis))
    memory = JobFolder(Path(told["folder"]))
    contribution = _contribution(told, plan, analysis)
    return Contributor(told["job"], told["site"], plan, analysis, contribution, memory, left_out)


def _contribution(told: Mapping[str, Any], plan: Plan, analysis: Analysis) -> Contribution:
    if isinstance(analysis, StagedQuestion):
        staged = told["staged"]
        if staged is None:
            raise IntegrityFailure("Nothing was staged for this job.")
        return OfStaged(analysis, read_values(Path(staged["path"]), staged["sha256"], analysis.outputs))
    schema, salt = Schema.from_dict(told["dataset"]["schema"]), bytes.fromhex(told["dataset"]["salt"])
    if isinstance(analysis, PerPatient | PerBlock):
        sandbox = _sandbox(told, analysis)
        return OfCode(analysis, _store(told), schema.patient_id, block_key(salt), sandbox)
    cohorts = [Cohort.from_dict(cohort) for cohort in told["earlier_cohorts"]]
    return OfEngine(plan, analysis, _store(told), schema, bounding_key(salt), cohorts)


def run_of(told: Mapping[str, Any]) -> CodeRun:
    """Run the specified aggregate code, or fit the specified model, on this site's rows."""
    plan = Plan.from_dict(told["plan"])
    question = from_plan(plan.analysis, plan.parameters)
    limit = float(told["numbers_per_patient"])
    if isinstance(question, DiffprivlibModel):
        return run_model(question, plan, _store(told), limit)
    if not isinstance(question, Aggregate):
        raise InvalidPlan("Only what has a release decision is run for its output.")
    patient_id = Schema.from_dict(told["dataset"]["schema"]).patient_id
    earlier = tuple(output for output in map(_earlier, told["earlier"]) if output is not None)
    return run_code(question, plan, _store(told), patient_id, _sandbox(told, question), limit, earlier)


def _earlier(told: Mapping[str, Any]) -> Earlier | None:
    """What went out before, without what was kept back; None where it is not here any more, which ends no run."""
    outputs = Outputs.from_list(told["outputs"])
    try:
        values = read_values(Path(told["path"]), told["sha256"], outputs)
    except (NotFound, IntegrityFailure) as error:
        print(f"Not compared with the output of {told['label']}: {error}", flush=True)  # noqa: T201  to the site's log
        return None
    known = np.where(selected(told["left_out"], outputs), np.nan, values)
    return Earlier(told["label"], outputs.unflatten(known), outputs)


def _outputs(analysis: Analysis) -> Outputs:
    outputs = outputs_of(analysis)
    if outputs is None:
        raise InvalidPlan("Only outputs of code and models can be left out.")
    return outputs


def _sandbox(told: Mapping[str, Any], question: CodeQuestion) -> OpenSandbox:
    from synthema_core.sandbox.choose import choose_backend  # a Job without code needs none of it

    if not told["sandbox"]:
        raise Unavailable("This site has no sandbox for code.", "Run `synthema datasite doctor`.")
    return partial(choose_backend(told["sandbox"]).open, question.code, question.outputs)


def _store(told: Mapping[str, Any]) -> ParquetRows:
    dataset = told["dataset"]
    return ParquetRows(
        Path(dataset["path"]),
        Schema.from_dict(dataset["schema"]),
        dataset["sha256"],
        dataset["commitment"],
        bytes.fromhex(dataset["salt"]),
    )
