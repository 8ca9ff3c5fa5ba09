"""Trying a Plan on Mocks: the same code, layout and rounds as the real Job, on rows made from the schema alone."""

from __future__ import annotations

import numpy as np

from synthema_core.analyses import from_plan
from synthema_core.analyses.base import Done, Patients, Rows, Sums
from synthema_core.analyses.conduct import conduct
from synthema_core.cohort import Cohort
from synthema_core.mock import mock_rows
from synthema_core.plan import Plan
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Floats

_PATIENTS_PER_MOCK = 60
_WIDER = 50


def rehearse(plan: Plan, schema: Schema) -> tuple[Done, int]:
    """The Plan's result on one Mock a site, without noise (there is nobody to protect); and its Rounds.

    Raises
    ------
    RoundFailed, Refused
        What the real Job would raise for the same kind of rows.
    """
    analysis = from_plan(plan.analysis, plan.parameters)
    mocks = [_mock_of(plan.cohort, schema, seed) for seed, _ in enumerate(plan.participants)]
    patients = [Patients(rows[schema.patient_id], b"of no patient") for rows in mocks]

    def ask(_round: int, values: Floats) -> Sums:
        contributions = map(analysis.contribution, mocks, [values] * len(mocks), patients)
        ring = sum(map(plan.layout.quantise, contributions))
        return Sums(plan.layout.dequantise(ring), len(mocks), min_patients=plan.output.min_patients)  # type: ignore[arg-type]

    return conduct(analysis, ask)


def _mock_of(cohort: Cohort, schema: Schema, seed: int) -> Rows:
    """Rows of a Cohort. Of one that few Mocks belong to, there are as many as were found among a good many."""
    for patients in (_PATIENTS_PER_MOCK, _PATIENTS_PER_MOCK * _WIDER):
        rows = mock_rows(schema, patients, seed)
        chosen, mask = cohort.apply({name: rows[name] for name in rows if name != schema.patient_id}, schema)
        if np.count_nonzero(mask) >= _PATIENTS_PER_MOCK:
            break
    return {schema.patient_id: rows[schema.patient_id][mask], **chosen}
