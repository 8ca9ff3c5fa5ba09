"""A model of diffprivlib: each site fits it on its own rows, its stewards look at it, and the mean over sites is told.

Every number column is put on a scale on which the Schema's range runs from -1 to 1, and every category to columns of 0
and 1: all bounds that diffprivlib is given follow from the Plan alone. What it says of its own privacy is charged to
the patients' Budget before rows are read, and is no guarantee: see `synthema_core.private_models`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Done, Next, Patients, Rows, Sums
from synthema_core.analyses.columns import Column, Factor, check_one_row_each, complete, numeric_field
from synthema_core.analyses.options import Options, read_back
from synthema_core.analyses.regression.covariates import Grouping, Number, Term, covariate_from_dict, covariate_of
from synthema_core.canonical import Json
from synthema_core.code.outputs import Output, Outputs
from synthema_core.errors import InvalidInput, InvalidPlan, Refused, RoundFailed
from synthema_core.private_models.fitting import Task, fit
from synthema_core.private_models.kinds import KINDS, Axis, Kind, Setting, Target
from synthema_core.private_models.scale import Scale
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Block, Floats, Layout

Covariate: TypeAlias = Number | Grouping
DIFFPRIVLIB = "diffprivlib"
NO_GUARANTEE = "The epsilon is diffprivlib's own word for its noise: it is charged, and is no guarantee."
_MOST_TERMS = 50
_BITS = 32
_LARGEST_EPSILON = 100.0
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class DiffprivlibModel:
    """Which model, of which columns, at which nominal epsilon.

    Parameters
    ----------
    target
        What it explains; None for a model that explains nothing.
    epsilon
        diffprivlib's own, for one site's model. Charged as it stands.
    settings
        (name, value), by name; those that the model has, and no others.
    """

    model: str
    covariates: tuple[Covariate, ...]
    target: Number | Factor | None
    epsilon: float
    settings: tuple[tuple[str, float], ...]

    name: ClassVar[str] = DIFFPRIVLIB
    title: ClassVar[str] = "Model of diffprivlib, with a release decision"
    private: ClassVar[bool] = False
    sensitivity: ClassVar[float] = 0.0
    answer_seconds: ClassVar[float] = 0.0
    exact_times: ClassVar[bool] = False
    time_step: ClassVar[float | None] = None

    def __post_init__(self) -> None:
        if self.model not in KINDS:
            raise InvalidPlan(f"There is no model '{self.model}'.", f"There are {', '.join(KINDS)}.")
        if not 0 < self.epsilon <= _LARGEST_EPSILON:
            raise InvalidPlan(f"A model takes an epsilon above 0 and at most {_LARGEST_EPSILON:g}.", "Usual is 1.")
        self._check_columns()
        self._check_settings()

    def _check_columns(self) -> None:
        if len(set(self.columns)) != len(self.columns) or not self.covariates:
            raise InvalidPlan("A model names its columns, each once, and its target apart.")
        if len(self.terms) > _MOST_TERMS:
            raise InvalidPlan(f"A model has at most {_MOST_TERMS} terms, and this one {len(self.terms)}.")
        wanted = {Target.NOTHING: type(None), Target.GROUP: Factor, Target.NUMBER: Number}[self._kind.target]
        if not isinstance(self.target, wanted) or len(self.classes) == 1:
            raise InvalidPlan(f"The model '{self.model}' explains {_EXPLAINS[self._kind.target]}.")

    def _check_settings(self) -> None:
        if [name for name, _ in self.settings] != sorted(self._kind.settings):
            raise InvalidPlan(f"The model '{self.model}' has other settings.")
        for name, value in self.settings:
            _check_setting(name, value, self._kind.settings[name])

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:
        names = tuple(dict.fromkeys(name for kind in KINDS.values() for name in kind.settings))
        typed = Options(cls.name, options, ("model", "columns", "target", "epsilon", *names))
        check_one_row_each(schema, cls.name)
        model = _model(typed)
        kind = KINDS[model]
        for name in names:
            if name in typed and name not in kind.settings:
                raise InvalidInput(f"The model '{model}' has no setting --{name}.", "Leave it out.")
        return cls(
            model,
            tuple(covariate_of(schema, name) for name in typed.words("columns")),
            _target(typed, kind.target, schema),
            typed.number("epsilon", 1.0),
            tuple((name, typed.number(name, kind.settings[name].default)) for name in sorted(kind.settings)),
        )

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        return read_back(cls._read, parameters)

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            str(data["model"]),
            tuple(covariate_from_dict(covariate) for covariate in data["columns"]),
            _target_from_dict(data["target"]),
            float(data["epsilon"]),
            tuple((str(name), float(data["settings"][name])) for name in sorted(data["settings"])),
        )

    def parameters(self) -> dict[str, Json]:
        return {
            "model": self.model,
            "columns": [covariate.to_dict() for covariate in self.covariates],
            "target": self.target.to_dict() if self.target else None,
            "epsilon": self.epsilon,
            "settings": dict(self.settings),
        }

    def check_against(self, schema: Schema) -> None:
        typed = {
            "model": self.model,
            "columns": ",".join(covariate.column.name for covariate in self.covariates),
            **({"target": self.target.column.name} if self.target else {}),
            "epsilon": repr(self.epsilon),
            **{name: repr(value) for name, value in self.settings},
        }
        if type(self).from_options(typed, schema) != self:
            raise InvalidPlan("The Plan's columns or their ranges are not the schema's.", "Plan again.")

    @property
    def _kind(self) -> Kind:
        return KINDS[self.model]

    @property
    def columns(self) -> tuple[str, ...]:
        targets = (self.target.column.name,) if self.target else ()
        return (*(covariate.column.name for covariate in self.covariates), *targets)

    @property
    def terms(self) -> tuple[Term, ...]:
        """The features, in order: one of a number, one of each further level of a group."""
        return tuple(term for covariate in self.covariates for term in covariate.terms)

    @property
    def classes(self) -> tuple[tuple[str, str], ...]:
        """(code, label) of each group that is told apart, in the schema's order."""
        return self.target.levels if isinstance(self.target, Factor) else ()

    def places(self, array: str) -> tuple[tuple[str, ...], ...]:
        """What the places of an array stand for, axis by axis."""
        axes = {one.name: one.axes for one in self._kind.arrays}[array]
        return tuple(self._labels(axis) for axis in axes)

    def _labels(self, axis: Axis) -> tuple[str, ...]:
        if axis is Axis.TERM:
            return tuple(term.label for term in self.terms)
        classes = tuple(label for _, label in self.classes)
        return classes[1:] if axis is Axis.SIDE and len(classes) == 2 else classes

    @property
    def outputs(self) -> Outputs:
        """The arrays by name, on the scale on which they are fitted."""
        sized = ((array, tuple(len(axis) for axis in self.places(array.name))) for array in self._kind.arrays)
        return Outputs(tuple(Output(array.name, shape, array.bound) for array, shape in sized))

    @property
    def layout(self) -> Layout:
        return Layout(tuple(Block(output.name, output.length, output.bound, _BITS) for output in self.outputs.outputs))

    @property
    def max_rounds(self) -> int:
        return 1

    @property
    def scale(self) -> Scale:
        """From the arrays to the columns' own units."""
        numbers = [it if isinstance(it, Number) else None for it in self.covariates for _ in it.terms]
        centres = np.array([it.centre if it else 0.0 for it in numbers])
        halves = np.array([it.half_range if it else 1.0 for it in numbers])
        if isinstance(self.target, Number):
            return Scale(centres, halves, self.target.centre, self.target.half_range)
        return Scale(centres, halves)

    def steps_per_unit(self, sites: int) -> None:
        """None of the noise is ours."""

    def cohort_size(self, rows: Rows) -> int:
        return int(complete(rows, self.columns).sum())

    def fitted(self, rows: Rows) -> dict[str, Floats]:
        """The model of these rows, of those patients who have all its columns, noise included; a fresh one each time.

        Every number is finite and within its bound, whatever diffprivlib gave.

        Raises
        ------
        Refused, RoundFailed, Unavailable
            See `private_models.fitting.fit`.
        """
        present = complete(rows, self.columns)
        arrays = fit(self.model, self._task({name: rows[name][present] for name in self.columns}))
        settled = {output.name: _settled(arrays[output.name], output) for output in self.outputs.outputs}
        if self.outputs.flatten(settled) is None:
            raise RoundFailed("diffprivlib gave another model than the declared one.")
        return settled

    def _task(self, rows: Rows) -> Task:
        features = np.hstack([covariate.design(rows) for covariate in self.covariates])
        low = [-1.0 if isinstance(it, Number) else 0.0 for it in self.covariates for _ in it.terms]
        return Task(
            features=features,
            low=np.array(low),
            high=np.ones(len(low)),
            norm=float(np.sqrt(len(self.covariates))),  # of a group's columns at most one is 1
            target=self._explained(rows),
            classes=len(self.classes),
            epsilon=self.epsilon,
            settings=dict(self.settings),
        )

    def _explained(self, rows: Rows) -> Floats | None:
        if isinstance(self.target, Number):
            return self.target.design(rows)[:, 0]
        return self.target.indices(rows).astype(np.float64) if isinstance(self.target, Factor) else None

    def begin(self) -> Next:
        return Next(np.zeros(0))

    def check_input(self, values: Floats) -> None:
        if values.shape != (0,):
            raise Refused("A model takes no input.", rule="iterate")

    def contribution(self, rows: Rows, values: Floats, patients: Patients, /) -> Floats:  # noqa: ARG002  one Round
        """(layout.length,): the model of these rows. At a site it is staged, and what is staged is contributed."""
        flat = self.outputs.flatten(self.fitted(rows))
        assert flat is not None, "what is fitted is as declared"
        return flat

    def advance(self, memory: Any, sums: Sums) -> Done:  # noqa: ARG002  one Round needs no memory
        """The mean of the sites' models, as outputs of code are told, on the scale on which they were fitted."""
        return Done(
            {
                "kind": self.name,
                "title": f"{self._kind.title}, by diffprivlib",
                "statement": NO_GUARANTEE,
                "sites": sums.sites,
                "confidence": _CONFIDENCE,
                "evaluations": None,
                "parameters": self.parameters(),
                "outputs": [_told(output, sums.blocks[output.name] / sums.sites) for output in self.outputs.outputs],
            }
        )


_EXPLAINS: Mapping[Target, str] = {
    Target.NOTHING: "nothing, and takes no target",
    Target.GROUP: "a target of at least two groups: a boolean or a category",
    Target.NUMBER: "a target that is a number",
}


def _model(typed: Options) -> str:
    model = typed.required("model") if "model" in typed else ""
    if model not in KINDS:
        raise InvalidInput(
            f"There is no model '{model}'." if model else f"'{DIFFPRIVLIB}' needs --model.",
            f"There are {', '.join(KINDS)}.",
        )
    return model


def _target(typed: Options, kind: Target, schema: Schema) -> Number | Factor | None:
    if kind is Target.NOTHING:
        if "target" in typed:
            raise InvalidInput("This model explains nothing.", "Leave --target out.")
        return None
    name = typed.required("target")
    if kind is Target.GROUP:
        return Factor.of(schema.field(name))
    field, low, high = numeric_field(schema, name)
    return Number(Column.of(field), (low + high) / 2, (high - low) / 2)


def _target_from_dict(data: Mapping[str, Any] | None) -> Number | Factor | None:
    if data is None:
        return None
    covariate = covariate_from_dict(data)
    return covariate.factor if isinstance(covariate, Grouping) else covariate


def _check_setting(name: str, value: float, setting: Setting) -> None:
    if not setting.least <= value <= setting.most:
        raise InvalidPlan(
            f"The setting {name} is between {setting.least:g} and {setting.most:g}.", f"Usual is {setting.default:g}."
        )


def _settled(array: NDArray[Any], output: Output) -> Floats:
    """Finite and within the bound: a fit that ran away is cut, and shows."""
    values = np.nan_to_num(np.asarray(array, dtype=np.float64), nan=0.0, posinf=output.bound, neginf=-output.bound)
    return np.asarray(np.clip(values, -output.bound, output.bound), dtype=np.float64)


def _told(output: Output, values: Floats) -> dict[str, Json]:
    """As of code, so that what a site leaves out can be taken from it."""
    return {
        "name": output.name,
        "shape": list[Json](output.shape),
        "content": output.content.value,
        "values": list[Json](values.tolist()),
        "noise_standard_deviation": None,
        "reach": None,
    }
