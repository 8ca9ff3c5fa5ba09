"""Aggregate code on a site's own rows: one evaluation, the gate, and what the reviewer should know of the numbers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Rows
from synthema_core.canonical import Json
from synthema_core.code.outputs import Arrays, Outputs
from synthema_core.code.questions import Aggregate
from synthema_core.disclosure import Earlier, Staged, findings, gate, suggest_redaction
from synthema_core.errors import Refused
from synthema_core.plan import Plan
from synthema_core.ports import RowStore
from synthema_core.sandbox.port import LANES, End, Limits, Outcome, Sandbox
from synthema_core.secure_sum.layout import Floats
from synthema_datasite.worker.contributions import OpenSandbox, without

_MOST_SECONDS_LEAVING_OUT = 120.0
_MOST_NUMBERS_LEAVING_OUT = 50_000_000


@dataclass(frozen=True, slots=True)
class CodeRun:
    """How the run ended.

    Parameters
    ----------
    values
        (outputs.length,) as the code returned them; None if it failed or the gate refused.
    report
        For the site's stewards alone: how it ended, what it printed, what the checks found.
    """

    values: Floats | None
    report: dict[str, Json] = field(default_factory=dict)


def run_code(
    question: Aggregate,
    plan: Plan,
    store: RowStore,
    patient_id: str,
    open_sandbox: OpenSandbox,
    numbers_per_patient: float,
    earlier: tuple[Earlier, ...] = (),
) -> CodeRun:
    """Evaluate the code once on all rows; then without each patient in turn, to see what hangs on a single one.

    Raises
    ------
    Refused
        If there are too few patients for any answer.
    """
    loaded = store.load((patient_id, *question.columns))
    holders, rows = loaded[patient_id], without(loaded, patient_id)
    patients = len(set(holders))
    if patients < plan.output.min_patients:
        raise Refused("Too few patients here for an answer.", rule="min_patients")
    limits = Limits(cpu_seconds=question.cpu_seconds)
    with open_sandbox() as sandbox:
        outcome = sandbox.evaluate(rows, limits)
        report = _how_it_ended(outcome)
        if outcome.end is not End.RETURNED or outcome.arrays is None:
            return CodeRun(None, report)
        try:
            gated = gate(outcome.arrays, question.outputs)
        except Refused as error:
            return CodeRun(None, {**report, "end": End.BAD_OUTPUT.value, "refused": str(error)})
        without_each = _leave_each_out(sandbox, question, rows, holders, outcome.wall_seconds)
    found = findings(
        Staged(gated, patients, plan.output.min_patients, numbers_per_patient, rows, holders, without_each, earlier)
    )
    checked: dict[str, Json] = {
        "findings": [finding.to_dict() for finding in found],
        "suggestion": list[Json](suggest_redaction(found, question.outputs)),
        "left_out_each": without_each is not None,
    }
    return CodeRun(gated.values, {**report, **checked})


def _how_it_ended(outcome: Outcome) -> dict[str, Json]:
    return {
        "end": outcome.end.value,
        "log": outcome.log,
        "cpu_seconds": outcome.cpu_seconds,
        "wall_seconds": outcome.wall_seconds,
        "peak_bytes": outcome.peak_bytes,
    }


def _leave_each_out(
    sandbox: Sandbox, question: Aggregate, rows: Rows, holders: NDArray[np.object_], seconds_each: float
) -> Sequence[Arrays | None] | None:
    """The outputs without each patient in turn, None where there were none; None if it took more than minutes.

    Code that is quick with everybody may be slow without somebody: what is not known when the time is over has failed.
    """
    everybody = sorted(set(holders))
    seconds, numbers = len(everybody) * seconds_each / LANES, len(everybody) * question.outputs.length
    if seconds > _MOST_SECONDS_LEAVING_OUT or numbers > _MOST_NUMBERS_LEAVING_OUT:
        return None
    until = time.monotonic() + _MOST_SECONDS_LEAVING_OUT
    groups = (_only(rows, np.flatnonzero(holders != patient)) for patient in everybody)
    found: list[Arrays | None] = []
    for outcome in sandbox.evaluate_all(groups, Limits(cpu_seconds=question.cpu_seconds)):
        found.append(_declared(outcome, question.outputs))
        if time.monotonic() > until:
            break
    return found + [None] * (len(everybody) - len(found))


def _declared(outcome: Outcome, outputs: Outputs) -> Arrays | None:
    """Of what code returned, only what counts is kept: the rest may be large."""
    values = outputs.flatten(outcome.arrays)
    return None if values is None else outputs.unflatten(values)


def _only(rows: Rows, where: NDArray[np.int64]) -> Rows:
    return {name: values[where] for name, values in rows.items()}
