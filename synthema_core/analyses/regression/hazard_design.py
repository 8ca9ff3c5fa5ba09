"""The covariates of a hazards model as they are typed: columns, or a formula."""

from __future__ import annotations

from synthema_core.analyses.options import Options
from synthema_core.design import Design
from synthema_core.errors import InvalidInput
from synthema_core.schemas import Schema


def typed_design(typed: Options, schema: Schema) -> Design:
    """Of --covariates, each column as it is a term; or of --formula."""
    if ("formula" in typed) == ("covariates" in typed):
        raise InvalidInput("A Cox model has either --covariates or a --formula.", "For example --covariates a,b.")
    if "formula" in typed:
        return Design.read(typed.required("formula"), schema)
    names = typed.words("covariates")
    fields = [schema.field(name).to_dict() for name in names]
    return Design.from_dict({"terms": [[name] for name in names], "fields": fields})
