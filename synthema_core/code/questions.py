"""Code as a question: what a Plan asks when its analysis is the researcher's own functions.

==================  =====================================  ============================================================
analysis            the function                           what protects the patients
==================  =====================================  ============================================================
code-per-patient    one patient's rows -> bounded vector   noise for one vector more or less, whatever the code does
code-per-block      one block's rows -> bounded vector     noise for one vector replaced, whatever the code does
code-aggregate      all rows -> arrays                     a steward of each site looks at them before they are summed
==================  =====================================  ============================================================

The functions run in a sandbox, never here: `contribution` of these questions is what the engine makes of their results.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from synthema_core.analyses.base import Done, Next, Patients, Rows, Sums
from synthema_core.canonical import Json
from synthema_core.code.combine import FRACTIONAL_BITS, by_block, by_patient
from synthema_core.code.outputs import Output, Outputs
from synthema_core.code.shapes import AGGREGATE, PER_BLOCK, PER_PATIENT, analysis_name
from synthema_core.code.source import Code
from synthema_core.code.timing import LONGEST_ANSWER_SECONDS, LONGEST_CPU_SECONDS, answer_seconds
from synthema_core.errors import InvalidInput, InvalidPlan, Refused
from synthema_core.schemas import Kind, Schema
from synthema_core.secure_sum.layout import Block, Floats, Layout

_MOST_EVALUATIONS = 1_000_000
_AGGREGATE_BITS = 32
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class CodeQuestion:
    """What the three shapes share.

    Parameters
    ----------
    columns_read
        The columns the function is given; never an identifier.
    cpu_seconds
        What one evaluation may take.
    """

    code: Code
    outputs: Outputs
    columns_read: tuple[str, ...]
    cpu_seconds: float

    name: ClassVar[str]
    shape: ClassVar[str]
    exact_times: ClassVar[bool] = False
    time_step: ClassVar[float | None] = None

    def __post_init__(self) -> None:
        if not 0.01 <= self.cpu_seconds <= LONGEST_CPU_SECONDS:
            raise InvalidPlan(f"An evaluation may take 0.01 to {LONGEST_CPU_SECONDS:g} CPU-seconds.")
        if not self.columns_read or len(set(self.columns_read)) != len(self.columns_read):
            raise InvalidPlan("Code names the columns it reads, each once.", "For example --columns t2,d3.")
        self._check()

    @abstractmethod
    def _check(self) -> None:
        """Raise InvalidPlan for what only this shape forbids."""

    @classmethod
    def from_options(cls, options: Mapping[str, str], schema: Schema) -> Self:  # noqa: ARG003  it is not typed in a line
        raise InvalidInput(f"'{cls.name}' takes code.", "Write a `%%remote` cell; see `%fed help`.")

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        try:
            question = cls(**_shared(parameters), **cls._own(parameters))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            raise InvalidPlan("The Plan's code or what it declares cannot be read.") from None
        if question.parameters() != dict(parameters):
            raise InvalidPlan("The Plan's code is not in its canonical form.")
        return question

    @classmethod
    def _own(cls, data: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG003  the shapes with a guarantee have some
        """The fields that only this shape has, from a Plan's parameters."""
        return {}

    def parameters(self) -> dict[str, Json]:
        return {
            "code": self.code.to_dict(),
            "outputs": self.outputs.to_list(),
            "columns": list[Json](self.columns_read),
            "cpu_seconds": self.cpu_seconds,
        }

    def check_against(self, schema: Schema) -> None:
        for column in self.columns_read:
            if schema.field(column).kind is Kind.IDENTIFIER:
                raise InvalidPlan(f"'{column}' identifies patients: code is not given it.", "Leave it out.")

    @property
    def columns(self) -> tuple[str, ...]:
        return self.columns_read

    @property
    def max_rounds(self) -> int:
        return 1

    def steps_per_unit(self, sites: int) -> float | None:  # noqa: ARG002  of some shapes a sum, of others a mean
        return None

    def begin(self) -> Next:
        return Next(np.zeros(0))

    def check_input(self, values: Floats) -> None:
        if values.shape != (0,):
            raise Refused("Code takes no input.", rule="iterate")

    def contribution(self, rows: Rows, values: Floats, _: Patients | None = None, /) -> Floats:
        raise NotImplementedError("code is evaluated in a sandbox")

    @abstractmethod
    def groups(self, rows: Rows, patients: NDArray[np.object_], key: bytes) -> list[Rows]:
        """The rows of each evaluation.

        Parameters
        ----------
        patients
            (n,): who each row is about.
        key
            A secret of the site's, for drawing blocks.
        """

    def _result(self, sums: Sums, deviations: Floats | None, evaluations: int | None) -> dict[str, Json]:
        """The released numbers by output, in the outputs' own units; with their noise where there is some."""
        values = np.concatenate([sums.blocks[output.name] for output in self.outputs.outputs]) * self._scale
        arrays = self.outputs.unflatten(values)
        noise = None if deviations is None else self.outputs.unflatten(deviations)
        return {
            "kind": self.name,
            "title": self.title,
            "sites": sums.sites,
            "confidence": _CONFIDENCE,
            "evaluations": evaluations,
            "outputs": [_output_result(output, arrays[output.name], noise) for output in self.outputs.outputs],
        }

    title: ClassVar[str]

    @property
    @abstractmethod
    def _scale(self) -> Floats:
        """(length,): from a sum's units to the outputs' own."""


def _shared(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "code": Code.from_dict(data["code"]),
        "outputs": Outputs.from_list(data["outputs"]),
        "columns_read": tuple(str(column) for column in data["columns"]),
        "cpu_seconds": float(data["cpu_seconds"]),
    }


def _output_result(output: Output, values: Floats, noise: Mapping[str, Floats] | None) -> dict[str, Json]:
    reach = float(ndtri(0.5 + _CONFIDENCE / 2))
    deviation = None if noise is None else float(noise[output.name].reshape(-1)[0])
    return {
        "name": output.name,
        "shape": list[Json](output.shape),
        "content": output.content.value,
        "values": list[Json](values.reshape(-1).tolist()),
        "noise_standard_deviation": deviation,
        "reach": None if deviation is None else reach * deviation,
    }


@dataclass(frozen=True, slots=True)
class _Guaranteed(CodeQuestion):
    """Shapes whose privacy does not depend on what the code does.

    Parameters
    ----------
    clip
        L2 norm of one evaluation's vector, in units of the bounds. At most sqrt(length), where it cuts nothing.
    capacity
        Evaluations a site has time for. Public, and fixed before any row is looked at.
    """

    clip: float
    capacity: int

    private: ClassVar[bool] = True
    _change: ClassVar[float]

    def _check(self) -> None:
        if not 0 < self.clip <= math.sqrt(self.outputs.length) * (1 + 1e-9):
            raise InvalidPlan("The clip is above 0 and at most the square root of the number of outputs.")
        if not 1 <= self.capacity <= _MOST_EVALUATIONS:
            raise InvalidPlan(f"A site makes between 1 and {_MOST_EVALUATIONS:,} evaluations.")
        if self.answer_seconds > LONGEST_ANSWER_SECONDS:
            raise InvalidPlan(
                f"Sites would answer after {self.answer_seconds:,.0f} seconds, and nobody waits so long.",
                f"Use fewer --cpu-seconds; {LONGEST_ANSWER_SECONDS:,.0f} seconds are waited for.",
            )

    @classmethod
    def _own(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        return {"clip": float(data["clip"]), "capacity": int(data["capacity"])}

    def parameters(self) -> dict[str, Json]:
        return {**CodeQuestion.parameters(self), "clip": self.clip, "capacity": self.capacity}

    @property
    def layout(self) -> Layout:
        blocks = (Block(o.name, o.length, float(_MOST_EVALUATIONS), FRACTIONAL_BITS) for o in self.outputs.outputs)
        return Layout(tuple(blocks))

    @property
    def sensitivity(self) -> float:
        """A patient adds a vector (per patient), or has one replaced (per block): `clip`, or twice that."""
        return self._change * self.clip * 2.0**FRACTIONAL_BITS

    def steps_per_unit(self, sites: int) -> float:  # noqa: ARG002  a sum is released as it is
        """Of the output with the largest bound."""
        return 2.0**FRACTIONAL_BITS / float(self.outputs.bounds.max())

    @property
    def answer_seconds(self) -> float:
        return answer_seconds(self.capacity, self.cpu_seconds)

    def cohort_size(self, rows: Rows) -> int:
        return len(rows[self.columns_read[0]])

    @property
    def _scale(self) -> Floats:
        return self.outputs.bounds

    def advance(self, memory: Any, sums: Sums) -> Done:  # noqa: ARG002  one Round needs no memory
        deviation = sums.deviation(self.layout.blocks[0])  # all blocks have the same steps
        evaluations = self.capacity * sums.sites if self.shape == PER_BLOCK else None
        return Done(self._result(sums, deviation * self.outputs.bounds, evaluations))


@dataclass(frozen=True, slots=True)
class PerPatient(_Guaranteed):
    """The sum over all patients of a vector that the function makes of one patient's rows."""

    name: ClassVar[str] = analysis_name(PER_PATIENT)
    shape: ClassVar[str] = PER_PATIENT
    title: ClassVar[str] = "Code for each patient, with noise"
    _change: ClassVar[float] = 1.0

    def groups(self, rows: Rows, patients: NDArray[np.object_], key: bytes) -> list[Rows]:  # noqa: ARG002
        return by_patient(rows, patients)


@dataclass(frozen=True, slots=True)
class PerBlock(_Guaranteed):
    """The sum over fixed blocks of patients of a vector that the function makes of one block's rows.

    Sample and aggregate (Nissim, Raskhodnikova, Smith 2007): `capacity` is the number of blocks at each site.
    """

    name: ClassVar[str] = analysis_name(PER_BLOCK)
    shape: ClassVar[str] = PER_BLOCK
    title: ClassVar[str] = "Code for each block of patients, with noise"
    _change: ClassVar[float] = 2.0

    def steps_per_unit(self, sites: int) -> float:
        """Of the mean over all blocks, of the output with the largest bound."""
        return self.capacity * sites * _Guaranteed.steps_per_unit(self, sites)

    def groups(self, rows: Rows, patients: NDArray[np.object_], key: bytes) -> list[Rows]:
        return by_block(rows, patients, self.capacity, key)


@dataclass(frozen=True, slots=True)
class Aggregate(CodeQuestion):
    """Arrays that the function makes of all rows of a site; summed once a steward of every site has looked at them."""

    name: ClassVar[str] = analysis_name(AGGREGATE)
    shape: ClassVar[str] = AGGREGATE
    title: ClassVar[str] = "Code on all rows, with a release decision"
    private: ClassVar[bool] = False
    sensitivity: ClassVar[float] = 0.0
    answer_seconds: ClassVar[float] = 0.0

    def _check(self) -> None:
        """Nothing more."""

    def groups(self, rows: Rows, patients: NDArray[np.object_], key: bytes) -> list[Rows]:  # noqa: ARG002
        return [rows]

    @property
    def layout(self) -> Layout:
        return Layout(tuple(Block(o.name, o.length, o.bound, _bits(o)) for o in self.outputs.outputs))

    def cohort_size(self, rows: Rows) -> int:
        return len(rows[self.columns_read[0]])

    @property
    def _scale(self) -> Floats:
        return np.ones(self.outputs.length)

    def advance(self, memory: Any, sums: Sums) -> Done:  # noqa: ARG002  one Round needs no memory
        return Done(self._result(sums, None, None))


def _bits(output: Output) -> int:
    """Fractional bits: as fine as the ring allows for 64 sites."""
    return max(0, min(_AGGREGATE_BITS, 56 - math.ceil(math.log2(output.bound + 1))))
