"""A Cohort: who is in, which columns there are, what a Plan carries of it, and what a steward reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.expressions import SCHEMA
from synthema_core.cohort import EVERYONE, Cohort, Derived
from synthema_core.errors import InvalidInput, InvalidPlan, SynthemaError
from synthema_core.schemas import Kind, Schema

ROWS: Any = {
    "age": np.array([30.0, 40.0, 60.0, 75.0]),
    "wbc": np.array([1.0, 9.0, np.nan, 99.0]),
    "eln": np.array(["good", "middle", "poor", "poor"], dtype=object),
}


def cohort(where: str = "", *derive: str, schema: Schema = SCHEMA) -> Cohort:
    return Cohort.read(where, derive, schema)


def test_everyone_is_everyone() -> None:
    rows, chosen = EVERYONE.apply(ROWS, SCHEMA)
    assert chosen.all()
    assert rows == ROWS
    assert (EVERYONE.schema(SCHEMA), EVERYONE.reads(("age",)), EVERYONE.sentences(SCHEMA)) == (SCHEMA, ("age",), [])
    assert EVERYONE.is_everyone and cohort() == EVERYONE


def test_those_are_in_for_whom_the_condition_is_known_to_hold() -> None:
    rows, chosen = cohort("wbc > 5").apply(ROWS, SCHEMA)
    assert chosen.tolist() == [False, True, False, True]
    assert rows["age"].tolist() == [40, 75]
    assert cohort("not wbc > 5").apply(ROWS, SCHEMA)[1].tolist() == [True, False, False, False]


def test_a_derived_column_is_one_of_the_schema_and_of_the_rows() -> None:
    made = cohort("old and log_wbc > 1", "old = age >= 40", "log_wbc = log1p(wbc)", "risk = recode(eln, low='good')")
    schema = made.schema(SCHEMA)
    assert [field.name for field in schema.fields[-3:]] == ["old", "log_wbc", "risk"]
    assert schema.field("old").kind is Kind.BOOLEAN
    assert schema.field("old").title == "old = age >= 40"
    rows, chosen = made.apply(ROWS, SCHEMA)
    assert chosen.tolist() == [False, True, False, True]
    assert rows["log_wbc"].tolist() == [np.log1p(9), np.log1p(99)]
    assert rows["risk"].tolist() == ["", ""]


def test_one_may_be_made_of_another() -> None:
    made = cohort("", "decades = age / 10", "many = decades >= 6")
    assert made.apply(ROWS, SCHEMA)[0]["many"].tolist() == [0, 0, 1, 1]
    with pytest.raises(SynthemaError, match="no column 'decades'"):
        cohort("", "many = decades >= 6", "decades = age / 10")


def test_only_what_is_needed_is_read() -> None:
    made = cohort("old and eln != 'good'", "old = age >= 40", "log_wbc = log1p(wbc)")
    assert made.reads(("blasts",)) == ("blasts", "age", "eln")
    assert made.reads(("log_wbc", "age")) == ("wbc", "age", "eln")
    rows, chosen = made.apply({name: ROWS[name] for name in ("age", "eln")}, SCHEMA)
    assert set(rows) == {"age", "eln", "old"}
    assert chosen.tolist() == [False, True, True, True]


@pytest.mark.parametrize(
    ("where", "derive", "says"),
    [
        ("age", [], "'age' is no condition"),
        ("1 == 1", [], "same for every patient"),
        ("age >", [], "cannot be read"),
        ("", ["old"], "'old' derives no column"),
        ("", ["= age >= 60"], "derives no column"),
        ("", ["2nd = age"], "derives no column"),
        ("", ["age = wbc + 1"], "There is a column 'age' already"),
        ("", ["id = wbc + 1"], "There is a column 'id' already"),
        ("", ["old = age >= 60", "old = age >= 70"], "There is a column 'old' already"),
        ("", ["five = 5"], "same for every patient"),
        ("", [f"c{number} = age + {number}" for number in range(21)], "More than 20 columns"),
    ],
)
def test_what_is_no_cohort_is_one_sentence(where: str, derive: list[str], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        cohort(where, *derive)


def test_a_plan_carries_its_one_spelling() -> None:
    made = cohort("age>=60 and (died)", "old=age>=70")
    told = made.to_dict()
    assert told == {"where": "age >= 60 and died", "derive": [["old", "age >= 70"]]}
    assert Cohort.from_dict(told) == made
    assert Cohort.from_dict(EVERYONE.to_dict()) == EVERYONE


@pytest.mark.parametrize(
    "told",
    [
        {"where": "age>=60", "derive": []},
        {"where": "age >= 60 ", "derive": []},
        {"where": "age >= ", "derive": []},
        {"where": "__import__('os')", "derive": [], "more": 1},
        {"where": 60, "derive": []},
        {"where": "", "derive": [["old", "age>=70"]]},
        {"where": "", "derive": [["o d", "age >= 70"]]},
        {"where": "", "derive": [["old"]]},
        {"where": "", "derive": [["old", ["age"]]]},
        {"where": "", "derive": [[f"c{number}", f"age + {number}"] for number in range(21)]},
        {"where": ""},
        [],
        None,
    ],
)
def test_no_other_spelling_is_taken(told: Any) -> None:
    with pytest.raises(InvalidPlan):
        Cohort.from_dict(told)


def test_another_schema_may_not_be_able_to_say_it() -> None:
    made = cohort("age >= 60", "old = age >= 70")
    other = Schema(SCHEMA.name, tuple(field for field in SCHEMA.fields if field.name != "age"), "id")
    with pytest.raises(SynthemaError, match="no column 'age'"):
        made.check_against(other)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("age >= 60", "Age (age) is at least 60 years"),
        ("flt3 == '1'", "FLT3-ITD (flt3) is '1' (positive)"),
        ("flt3 == 1", "FLT3-ITD (flt3) is '1' (positive)"),
        ("eln in ('good', 'poor')", "ELN risk (eln) is one of 'good', 'poor'"),
        ("eln not in ('good',)", "ELN risk (eln) is none of 'good'"),
        ("died", "died is yes"),
        ("not died", "died is no"),
        ("died == False", "died is no"),
        ("missing(wbc)", "wbc has no value"),
        ("wbc / age > 2", "wbc / age is above 2"),
        (
            "age < 60 or not (died and present(flt3))",
            "Age (age) is below 60 years, or it is not so that (died is yes, and FLT3-ITD (flt3) has a value)",
        ),
    ],
)
def test_a_steward_reads_it_in_words(where: str, said: str) -> None:
    assert cohort(where).sentences(SCHEMA) == [f"Only those for whom {said}."]


def test_and_what_is_derived_as_it_is_computed() -> None:
    said = cohort("old", "old = age >= 60").sentences(SCHEMA)
    assert said == ["Only those for whom old = age >= 60 (old) is yes.", "Derived for it: old = age >= 60."]


def test_a_definition_keeps_its_comparisons() -> None:
    assert Derived.read("late = age <= 60") == Derived("late", "age <= 60")
    assert Derived.read("same = died == relapsed") == Derived("same", "died == relapsed")
