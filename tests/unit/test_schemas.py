"""A Schema holds no field that cannot be checked, scaled or shown, and is the same wherever it is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from support.builders import SCHEMA
from synthema_core.errors import InvalidSchema, NotFound
from synthema_core.schemas import Field, Kind, Schema

NUMBER = {"name": "age", "type": "number", "minimum": 0, "maximum": 100}
CATEGORY = {"name": "arm", "type": "category", "codes": {"a": "Arm A", "b": "Arm B"}}
WHOLE: dict[str, Any] = {
    "name": "trial",
    "patient_id": "id",
    "fields": [{"name": "id", "type": "identifier"}, NUMBER, CATEGORY],
}


def test_every_type_is_read() -> None:
    assert [field.kind for field in SCHEMA.fields] == [
        Kind.IDENTIFIER, Kind.NUMBER, Kind.BOOLEAN, Kind.NUMBER, Kind.CATEGORY,
    ]  # fmt: skip
    age = SCHEMA.field("age")
    assert (age.minimum, age.maximum, age.unit, age.required) == (0.0, 100.0, "years", True)
    assert SCHEMA.field("arm").codes == (("a", "Arm A"), ("b", "Arm B"))
    assert Field.from_dict({**NUMBER, "type": "integer", "required": False}) == Field(
        "age", Kind.INTEGER, minimum=0, maximum=100, required=False
    )


def test_a_schema_comes_back_from_json_as_itself() -> None:
    again = Schema.from_dict(json.loads(json.dumps(SCHEMA.to_dict(), sort_keys=True)))
    assert (again, again.digest) == (SCHEMA, SCHEMA.digest)


def test_a_patient_has_one_row_unless_it_is_said_otherwise() -> None:
    assert SCHEMA.rows_per_patient == 1
    assert Schema.from_dict({**WHOLE, "rows_per_patient": 1}).digest == Schema.from_dict(WHOLE).digest
    visits = Schema.from_dict({**WHOLE, "rows_per_patient": 12})
    assert Schema.from_dict(json.loads(json.dumps(visits.to_dict()))) == visits


def test_the_order_of_codes_is_kept_and_digested() -> None:
    """The first is the reference level: JSON that sorts its keys must not choose another."""
    backwards = Field.from_dict({**CATEGORY, "codes": {"b": "Arm B", "a": "Arm A"}})
    assert backwards.levels == ("b", "a")
    again = Field.from_dict(json.loads(json.dumps(backwards.to_dict(), sort_keys=True)))
    assert again == backwards
    assert backwards.to_dict() != Field.from_dict(CATEGORY).to_dict()


def test_codes_are_text_and_may_do_without_labels() -> None:
    assert Field.from_dict({**CATEGORY, "codes": [1, 2]}).codes == (("1", "1"), ("2", "2"))
    assert Field.from_dict({**CATEGORY, "codes": {1: "ALL"}}).codes == (("1", "ALL"),)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "9lives"},
        {"name": "a b"},
        {"name": 'a"; DROP'},
        {"name": ""},
        {"name": "x" * 64},
        {"type": "text"},
        {"type": None},
        {"minimum": None},
        {"maximum": None},
        {"minimum": 100},
        {"minimum": 101},
        {"minimum": "young"},
        {"minimum": [0]},
        {"minimum": float("nan")},
        {"minimum": float("-inf")},
        {"maximum": float("inf")},
        {"codes": {"a": "A"}},
        {"type": "boolean"},
        {"type": "identifier"},
        {"type": "integer", "minimum": 0.5},
        {"type": "integer", "maximum": 9.9},
        {"minimun": 0},
    ],
    ids=str,
)
def test_a_number_that_cannot_be_checked_or_scaled_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidSchema):
        Field.from_dict({**NUMBER, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"codes": None},
        {"codes": {}},
        {"codes": []},
        {"codes": 7},
        {"codes": "ab"},
        {"codes": ["a", "a"]},
        {"codes": {1: "one", "1": "eins"}},
        {"codes": ["", "a"]},
        {"minimum": 0},
        {"maximum": 1},
        {"code_order": ["a", "c"]},
        {"code_order": ["a", "a"]},
    ],
    ids=str,
)
def test_a_category_without_clear_codes_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidSchema):
        Field.from_dict({**CATEGORY, **change})


@pytest.mark.parametrize("key", ["name", "type"])
def test_a_field_says_its_name_and_type(key: str) -> None:
    with pytest.raises(InvalidSchema, match=f"has no '{key}'"):
        Field.from_dict({name: value for name, value in NUMBER.items() if name != key})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda whole: whole.update(name="a trial"), "cannot name a schema"),
        (lambda whole: whole.update(patient_id="age"), "must be of type identifier"),
        (lambda whole: whole.update(patient_id="ID"), "which is not a field"),
        (lambda whole: whole.update(patientid="id"), "unknown key 'patientid'"),
        (lambda whole: whole.update(fields={"age": NUMBER}), "list of mappings"),
        (lambda whole: whole.update(fields=["id"]), "list of mappings"),
        (lambda whole: whole.update(fields=[]), "has no 'fields'"),
        (lambda whole: whole["fields"].append(NUMBER), "lists a field twice"),
        (lambda whole: whole["fields"][0].update(required=False), "patient id 'id' cannot be left out"),
        (lambda whole: whole.update(rows_per_patient=0), "1 to 1000 rows"),
        (lambda whole: whole.update(rows_per_patient=1001), "1 to 1000 rows"),
        (lambda whole: whole.update(rows_per_patient=2.0), "not a whole number"),
        (lambda whole: whole.update(rows_per_patient="2"), "not a whole number"),
        (lambda whole: whole.update(rows_per_patient=True), "not a whole number"),
        (lambda whole: whole.pop("name"), "has no 'name'"),
        (lambda whole: whole.pop("patient_id"), "has no 'patient_id'"),
        (lambda whole: whole.pop("fields"), "has no 'fields'"),
    ],
)
def test_what_is_no_schema_is_refused_with_a_sentence(change: Callable[[dict[str, Any]], Any], says: str) -> None:
    whole = json.loads(json.dumps(WHOLE))
    change(whole)
    with pytest.raises(InvalidSchema, match=says):
        Schema.from_dict(whole)


@pytest.mark.parametrize("data", [None, [], "trial", 3])
def test_what_is_no_mapping_is_no_schema(data: object) -> None:
    with pytest.raises(InvalidSchema, match="is a mapping"):
        Schema.from_dict(data)


def test_a_column_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(NotFound) as missing:
        SCHEMA.field("sex")
    assert missing.value.hint == "It has days, died, age, arm."


@pytest.mark.parametrize(
    "change",
    [
        lambda whole: whole.update(name="other"),
        lambda whole: whole.update(title="Other"),
        lambda whole: whole.update(description="Other"),
        lambda whole: whole.update(rows_per_patient=2),
        lambda whole: whole["fields"][1].update(name="years"),
        lambda whole: whole["fields"][1].update(type="integer"),
        lambda whole: whole["fields"][1].update(title="Age"),
        lambda whole: whole["fields"][1].update(unit="years"),
        lambda whole: whole["fields"][1].update(minimum=1),
        lambda whole: whole["fields"][1].update(maximum=99),
        lambda whole: whole["fields"][1].update(required=False),
        lambda whole: whole["fields"][2]["codes"].update(c="Arm C"),
        lambda whole: whole["fields"][2]["codes"].update(b="Other"),
        lambda whole: whole["fields"].reverse(),
    ],
)
def test_the_digest_changes_with_every_part(change: Callable[[dict[str, Any]], Any]) -> None:
    other = json.loads(json.dumps(WHOLE))
    change(other)
    assert Schema.from_dict(other).digest != Schema.from_dict(WHOLE).digest
