"""The engine tells private analyses whose each row is, and reads for exact ones nothing but their columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from support.builders import NOW, SCHEMA, SITES, card
from synthema_core.analyses import from_plan
from synthema_core.analyses.base import Rows
from synthema_core.commitment import block_key, bounding_key
from synthema_core.errors import Refused
from synthema_core.plan import Plan
from synthema_core.planning import make_plan
from synthema_core.rehearsal import rehearse
from synthema_core.schemas import Schema
from synthema_datasite.worker.contributions import OfEngine

VISITS = Schema.from_dict({**SCHEMA.to_dict(), "name": "visits", "rows_per_patient": 4})
NOTHING = np.zeros(0)
ROWS: Rows = {
    "id": np.array(["p1", "p2", "p1", "p3", "p1", "p2"], dtype=object),
    "days": np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
    "died": np.array([0.0, 1.0, 1.0, 0.0, 0.0, 1.0]),
    "age": np.array([20.0, 40.0, 20.0, 60.0, 20.0, 40.0]),
    "arm": np.array(["a", "b", "a", "b", "b", "b"], dtype=object),
}


class Recorded:
    """Implements RowStore: what was read."""

    def __init__(self) -> None:
        self.read: list[tuple[str, ...]] = []

    def load(self, columns: Sequence[str]) -> Rows:
        self.read.append(tuple(columns))
        return {column: ROWS[column] for column in columns}


def plan_of(
    analysis: str,
    schema: Schema = VISITS,
    policy: dict[str, Any] | None = None,
    where: str = "",
    derive: Sequence[str] = (),
    **options: str,
) -> Plan:
    cards = [card(site, schema=schema, policy=policy) for site in SITES]
    typed = {name.replace("_", "-"): value for name, value in options.items()}
    asked = {"requester": "rosalind", "purpose": "To learn", "now": NOW, "where": where, "derive": derive}
    return make_plan(analysis, typed, cards, **asked)  # type: ignore[arg-type]


def engine(plan: Plan, store: Recorded, key: bytes = b"a key") -> OfEngine:
    return OfEngine(plan, from_plan(plan.analysis, plan.parameters), store, SCHEMA, key)


@pytest.mark.parametrize(
    ("analysis", "options", "expected"),
    [
        ("histogram", {}, [3]),
        ("histogram", {"column": "arm"}, [1, 3]),  # p1 is in both
        ("histogram", {"column": "age", "edges": "30,50"}, [1, 1, 1]),
    ],
)
def test_private_analyses_count_patients(analysis: str, options: dict[str, str], expected: list[float]) -> None:
    store = Recorded()
    added = engine(plan_of(analysis, **options), store).values(NOTHING)
    assert added.tolist() == expected
    assert [columns[0] for columns in store.read] == ["id"]


def test_a_mean_is_over_patients() -> None:
    count, total, _ = engine(plan_of("mean", column="age"), Recorded()).values(NOTHING)
    assert (count, 50 + 50 * total / count) == (3, pytest.approx(40, abs=1e-4))


def test_which_rows_are_kept_is_the_sites_own_choice() -> None:
    plan = plan_of("histogram", column="arm", cells_per_patient="1")
    seen = {tuple(engine(plan, Recorded(), bytes([key])).values(NOTHING)) for key in range(40)}
    assert seen == {(1, 2, 1), (0, 3, 1)}


def test_keys_of_one_site_for_different_ends_are_different() -> None:
    assert len({bounding_key(b"salt"), block_key(b"salt"), bounding_key(b"other")}) == 3


def test_an_exact_analysis_reads_no_identifiers() -> None:
    store = Recorded()
    plan = plan_of("kaplan-meier", SCHEMA, {"min_patients": 3}, time="days", event="died", step="100")
    engine(plan, store).values(NOTHING)
    assert store.read == [("days", "died")]
    with pytest.raises(Refused, match="Too few patients"):
        engine(plan_of("kaplan-meier", SCHEMA, {"min_patients": 7}, time="days", event="died", step="100"), store)


@pytest.mark.parametrize(
    ("analysis", "options"), [("histogram", {"column": "arm"}), ("mean", {"column": "age", "clip": "40,60"})]
)
def test_a_rehearsal_knows_whose_its_rows_are(analysis: str, options: dict[str, str]) -> None:
    done, rounds = rehearse(plan_of(analysis, rows_per_patient="2", **options), VISITS)
    assert rounds == 1
    cut = done.result["bounding"]["cut"]  # type: ignore[index,call-overload]
    assert 0 < cut["count"] < 3 * 60  # type: ignore[index,call-overload,operator]
    if analysis == "mean":
        assert done.result["patients"]["count"] == 3 * 60  # type: ignore[index,call-overload]


def test_a_cohort_is_chosen_before_anything_is_computed() -> None:
    """Rows and whose they are: a patient with rows in and out is in with those that are in."""
    store = Recorded()
    plan = plan_of("histogram", column="arm", where="age >= 40 and days > 2")
    assert engine(plan, store).values(NOTHING).tolist() == [0, 2]
    assert store.read == [("id", "arm", "age", "days")]


def test_an_analysis_can_name_a_derived_column() -> None:
    plan = plan_of("histogram", column="old", derive=("old = age >= 40",))
    assert engine(plan, Recorded()).values(NOTHING).tolist() == [1, 2]
    mean = plan_of("mean", column="decades", derive=("decades = age / 10",))
    count, total, _ = engine(mean, Recorded()).values(NOTHING)
    assert (count, 5 + 5 * total / count) == (3, pytest.approx(4, abs=1e-4))


def test_a_rehearsal_is_of_the_cohort() -> None:
    done, _ = rehearse(plan_of("histogram", column="arm", where="arm == 'a'"), VISITS)
    a, b = (cell["count"] for cell in done.result["cells"])  # type: ignore[index,call-overload,union-attr]
    assert a > 2 * 60 and b == 0, "patients with a row in the cohort"
