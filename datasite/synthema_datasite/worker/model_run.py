"""A model of diffprivlib on a site's own rows: one fit, and what the reviewer should know of the numbers."""

from __future__ import annotations

import resource
import time

from synthema_core.analyses.diffprivlib_model import DiffprivlibModel
from synthema_core.canonical import Json
from synthema_core.disclosure import Staged, findings, gate, suggest_redaction
from synthema_core.errors import Refused
from synthema_core.plan import Plan
from synthema_core.ports import RowStore
from synthema_core.sandbox.port import End
from synthema_datasite.worker.code_run import CodeRun

_KIBIBYTE = 1 << 10


def run_model(question: DiffprivlibModel, plan: Plan, store: RowStore, numbers_per_patient: float) -> CodeRun:
    """Fit it once: a second fit would have other noise, and its difference from the first would cost once more.

    So nobody is left out in turn, and its numbers, which are on another scale, are not compared with rows.

    Raises
    ------
    Refused, RoundFailed, Unavailable
        If there are too few patients, or diffprivlib gave no model. Never with a value of a row.
    """
    rows = store.load(question.columns)
    patients = question.cohort_size(rows)
    if patients < plan.output.min_patients:
        raise Refused("Too few patients here have all the columns asked for.", rule="min_patients")
    began, used = time.monotonic(), time.process_time()
    gated = gate(question.fitted(rows), question.outputs)
    found = findings(Staged(gated, patients, plan.output.min_patients, numbers_per_patient))
    report: dict[str, Json] = {
        "end": End.RETURNED.value,
        "log": "",
        "cpu_seconds": time.process_time() - used,
        "wall_seconds": time.monotonic() - began,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIBIBYTE,
        "findings": [finding.to_dict() for finding in found],
        "suggestion": list[Json](suggest_redaction(found, question.outputs)),
        "left_out_each": False,
    }
    return CodeRun(gated.values, report)
