"""A Schema: a disease's fields with types, units, ranges and codes. Disease-neutral; a disease is a YAML file."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from synthema_core.canonical import Json, digest
from synthema_core.errors import InvalidSchema, NotFound

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_FIELD_KEYS = frozenset({"name", "type", "title", "unit", "minimum", "maximum", "codes", "required"})
_SCHEMA_KEYS = frozenset({"name", "title", "description", "patient_id", "rows_per_patient", "fields"})
_MOST_ROWS_PER_PATIENT = 1000


class Kind(StrEnum):
    """What a field's values are. `NUMBER` and `INTEGER` need a range, `CATEGORY` needs codes."""

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CATEGORY = "category"
    IDENTIFIER = "identifier"


@dataclass(frozen=True, slots=True)
class Field:
    """One column.

    Parameters
    ----------
    minimum, maximum
        The range of a NUMBER or INTEGER in `unit`; public constants, from which analyses take their scaling.
    codes
        (code, label) of each category, in the order in which tables show them; the first is the reference level.
    required
        Whether a row may leave the value out.
    """

    name: str
    kind: Kind
    title: str = ""
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    codes: tuple[tuple[str, str], ...] = ()
    required: bool = True

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidSchema(
                f"'{self.name}' cannot name a field.", "Use a letter, then letters, digits or underscores."
            )
        if self.kind in (Kind.NUMBER, Kind.INTEGER):
            if self.minimum is None or self.maximum is None or not -math.inf < self.minimum < self.maximum < math.inf:
                raise InvalidSchema(
                    f"The field '{self.name}' needs a minimum below its maximum.",
                    "Give both, in the field's unit.",
                )
            if self.kind is Kind.INTEGER and (self.minimum % 1 or self.maximum % 1):
                raise InvalidSchema(f"The range of the integer '{self.name}' ends in whole numbers.")
        elif self.minimum is not None or self.maximum is not None:
            raise InvalidSchema(f"The field '{self.name}' is {self.kind}: it has no range.")
        if (self.kind is Kind.CATEGORY) != bool(self.codes):
            raise InvalidSchema(f"The field '{self.name}': codes belong to a category, and a category needs them.")
        if len(dict(self.codes)) != len(self.codes):
            raise InvalidSchema(f"The field '{self.name}' lists a code twice.")
        if "" in self.levels:
            raise InvalidSchema(f"The field '{self.name}' has an empty code.", "An empty value is a missing one.")

    @property
    def levels(self) -> tuple[str, ...]:
        """The codes without their labels."""
        return tuple(code for code, _ in self.codes)

    def to_dict(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "type": self.kind.value,
            "title": self.title,
            "unit": self.unit,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "codes": dict(self.codes) if self.codes else None,
            "code_order": list(self.levels) if self.codes else None,
            "required": self.required,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        unknown = sorted(set(data) - _FIELD_KEYS - {"code_order"})
        if unknown:
            raise InvalidSchema(
                f"The field '{data.get('name')}' has an unknown key '{unknown[0]}'.",
                f"Known are {', '.join(sorted(_FIELD_KEYS))}.",
            )
        try:
            kind = Kind(data["type"])
            codes = _codes(data)
            return cls(
                name=str(data["name"]),
                kind=kind,
                title=str(data.get("title") or ""),
                unit=str(data.get("unit") or ""),
                minimum=None if data.get("minimum") is None else float(data["minimum"]),
                maximum=None if data.get("maximum") is None else float(data["maximum"]),
                codes=codes,
                required=bool(data.get("required", True)),
            )
        except KeyError as error:
            raise InvalidSchema(f"The field '{data.get('name', '?')}' has no '{error.args[0]}'.") from None
        except (TypeError, ValueError):
            raise InvalidSchema(
                f"The field '{data.get('name')}' has a type or range that cannot be read.",
                f"Types are {', '.join(Kind)}; ranges are numbers.",
            ) from None


def _codes(data: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    codes = data.get("codes") or {}
    if isinstance(codes, list):
        return tuple((str(code), str(code)) for code in codes)
    order = data.get("code_order") or list(codes)
    return tuple((str(code), str(codes[code])) for code in order)


@dataclass(frozen=True, slots=True)
class Schema:
    """The fields of one Dataset.

    Parameters
    ----------
    patient_id
        The field that tells patients apart.
    rows_per_patient
        So many rows (visits, samples) a patient may have, and no table with more is taken in. A public constant, from
        which noise takes its scale.
    """

    name: str
    fields: tuple[Field, ...]
    patient_id: str
    title: str = ""
    description: str = ""
    rows_per_patient: int = 1

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidSchema(f"'{self.name}' cannot name a schema.", "Use letters, digits and underscores.")
        names = [field.name for field in self.fields]
        if len(set(names)) != len(names):
            raise InvalidSchema(f"The schema '{self.name}' lists a field twice.")
        if self.patient_id not in names:
            raise InvalidSchema(
                f"The schema '{self.name}' names '{self.patient_id}' as its patient id, which is not a field.",
                "Set patient_id to one of the fields.",
            )
        if self.field(self.patient_id).kind is not Kind.IDENTIFIER:
            raise InvalidSchema(f"The patient id '{self.patient_id}' must be of type identifier.")
        if not self.field(self.patient_id).required:  # rows without one would count as one patient
            raise InvalidSchema(f"The patient id '{self.patient_id}' cannot be left out.", "Make it required.")
        if not 1 <= self.rows_per_patient <= _MOST_ROWS_PER_PATIENT:
            raise InvalidSchema(f"A patient has 1 to {_MOST_ROWS_PER_PATIENT} rows.", "Usual is 1.")

    def field(self, name: str) -> Field:
        """The field of that name, or NotFound with the names there are."""
        for field in self.fields:
            if field.name == name:
                return field
        offered = ", ".join(f.name for f in self.fields if f.kind is not Kind.IDENTIFIER)
        raise NotFound(f"The schema '{self.name}' has no column '{name}'.", f"It has {offered}.")

    @property
    def digest(self) -> str:
        return digest(self.to_dict())

    def to_dict(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "patient_id": self.patient_id,
            "rows_per_patient": self.rows_per_patient,
            "fields": [field.to_dict() for field in self.fields],
        }

    @classmethod
    def from_dict(cls, data: object) -> Self:
        if not isinstance(data, Mapping):
            raise InvalidSchema("A schema is a mapping with name, patient_id and fields.")
        unknown = sorted(set(data) - _SCHEMA_KEYS)
        if unknown:
            raise InvalidSchema(
                f"The schema has an unknown key '{unknown[0]}'.",
                f"Known are {', '.join(sorted(_SCHEMA_KEYS))}.",
            )
        missing = [key for key in ("name", "patient_id", "fields") if not data.get(key)]
        if missing:
            raise InvalidSchema(f"The schema has no '{missing[0]}'.")
        fields = data["fields"]
        if not isinstance(fields, list) or not all(isinstance(field, Mapping) for field in fields):
            raise InvalidSchema("The schema's fields must be a list of mappings.")
        rows_per_patient = data.get("rows_per_patient", 1)
        if type(rows_per_patient) is not int:
            raise InvalidSchema("The schema's rows_per_patient is not a whole number.", "Usual is 1.")
        return cls(
            name=str(data["name"]),
            fields=tuple(Field.from_dict(field) for field in fields),
            patient_id=str(data["patient_id"]),
            title=str(data.get("title") or ""),
            description=str(data.get("description") or ""),
            rows_per_patient=rows_per_patient,
        )
