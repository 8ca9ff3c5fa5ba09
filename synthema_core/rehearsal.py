"""Trying a Plan on Mocks: the same code, layout and rounds as the real Job, on rows made from the schema alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from synthema_core.analyses import from_plan
from synthema_core.analyses.base import Done, Patients, Rows, Sums
from synthema_core.analyses.conduct import conduct
from synthema_core.canonical import Json
from synthema_core.charging import mechanism_of
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
    mocks = [_mock_of(plan.cohort, schema, seed) for seed, _ in enumerate(plan.participants)]
    return _conducted(plan, schema, mocks, 0.0, np.random.default_rng(0))


def foresee(plan: Plan, schema: Schema, patients: int, epsilon: float, seed: int) -> Mapping[str, Json]:
    """The result on so many invented patients altogether, with the noise that a private Plan of that epsilon has.

    Who they are says nothing: values are drawn from the schema's ranges. How wide intervals are is about right. The
    same for the same arguments; this noise protects nobody.

    Raises
    ------
    RoundFailed
        If there is no result, as may happen to the real Job.
    """
    assert plan.privacy is not None, "a private Plan"
    aimed = replace(plan, privacy=replace(plan.privacy, epsilon=epsilon))
    mechanism = mechanism_of(aimed, from_plan(plan.analysis, plan.parameters))
    assert mechanism is not None, "a private Plan"
    sites = len(plan.participants)
    sizes = [patients // sites + (place < patients % sites) for place in range(sites)]
    mocks = [_so_many(plan.cohort, schema, size, sites * seed + place) for place, size in enumerate(sizes)]
    done, _ = _conducted(aimed, schema, mocks, mechanism.sum_variance(sites), np.random.default_rng(seed))
    return done.result


def _conducted(
    plan: Plan, schema: Schema, mocks: Sequence[Rows], variance: float, dice: np.random.Generator
) -> tuple[Done, int]:
    analysis = from_plan(plan.analysis, plan.parameters)
    patients = [Patients(rows[schema.patient_id], b"of no patient") for rows in mocks]

    def ask(_round: int, values: Floats) -> Sums:
        contributions = map(analysis.contribution, mocks, [values] * len(mocks), patients)
        ring = np.zeros(plan.layout.length, dtype=np.uint64)
        for own in contributions:
            ring += plan.layout.quantise(own)
        if variance:
            ring += np.rint(dice.normal(0.0, math.sqrt(variance), len(ring))).astype(np.int64).view(np.uint64)
        return Sums(plan.layout.dequantise(ring), len(mocks), variance, plan.output.min_patients)

    return conduct(analysis, ask)


def _mock_of(cohort: Cohort, schema: Schema, seed: int) -> Rows:
    """Rows of a Cohort. Of one that few Mocks belong to, there are as many as were found among a good many."""
    for patients in (_PATIENTS_PER_MOCK, _PATIENTS_PER_MOCK * _WIDER):
        found = _members(cohort, schema, patients, seed)
        if len(found[schema.patient_id]) >= _PATIENTS_PER_MOCK:
            break
    return found


def _so_many(cohort: Cohort, schema: Schema, patients: int, seed: int) -> Rows:
    """Rows of so many members of a Cohort, or of as many as were found among `_WIDER` times as many."""
    tried = patients
    while True:
        found = _members(cohort, schema, tried, seed)
        owners, place = np.unique(found[schema.patient_id], return_inverse=True)
        if len(owners) >= patients or tried >= patients * _WIDER:
            break
        tried = min(patients * _WIDER, math.ceil(1.2 * tried * patients / max(1, len(owners))))
    kept = place < patients
    return {name: values[kept] for name, values in found.items()}


def _members(cohort: Cohort, schema: Schema, patients: int, seed: int) -> dict[str, Any]:
    rows = mock_rows(schema, patients, seed)
    chosen, mask = cohort.apply({name: rows[name] for name in rows if name != schema.patient_id}, schema)
    return {schema.patient_id: rows[schema.patient_id][mask], **chosen}
