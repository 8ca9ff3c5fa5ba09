"""What analyses of events that exclude each other have in common: which event came first for a patient, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Rows
from synthema_core.analyses.columns import Column, event_field
from synthema_core.analyses.options import Options, check_confidence
from synthema_core.analyses.survival.competing_curves import Shape
from synthema_core.analyses.survival.follow_up import FollowUp, check_times
from synthema_core.canonical import Json
from synthema_core.errors import InvalidInput, InvalidPlan
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Floats

FIRST = "An event is counted if it comes before all that compete with it; of events at one time, the one named first."
_MOST_CAUSES = 6

Asked: TypeAlias = tuple[tuple[Column, ...], float, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class CompetingRisks(FollowUp):
    """How often an event comes first, by group.

    Parameters
    ----------
    competing
        Events that make the one asked about impossible, or uninteresting. Of events at one time the first named counts.
    at
        Times at which incidence is told and compared.
    """

    competing: tuple[Column, ...]
    confidence: float
    at: tuple[float, ...]

    def __post_init__(self) -> None:
        FollowUp.__post_init__(self)
        check_confidence(self.confidence)
        check_times(self.at, None, self.horizon)
        names = [cause.name for cause in self.causes]
        if len(set(names)) != len(names) or not 2 <= len(names) <= _MOST_CAUSES:
            raise InvalidPlan(
                f"There are between 1 and {_MOST_CAUSES - 1} competing events, each another column than the event.",
                "For example --event relapse --competing died.",
            )

    @staticmethod
    def typed(typed: Options, schema: Schema) -> Asked:
        """Competing events, confidence and times of a question as it was typed."""
        if "competing" not in typed:
            raise InvalidInput(
                "Cumulative incidence is of an event among others that exclude it.",
                "Name those in --competing; where there are none, use kaplan-meier.",
            )
        competing = tuple(Column.of(event_field(schema, name)) for name in typed.words("competing"))
        at = tuple(sorted(typed.numbers("at"))) if "at" in typed else ()
        return competing, typed.confidence(), at

    @staticmethod
    def own_fields(data: Mapping[str, Any]) -> Asked:
        """Those of `parameters`."""
        competing = tuple(Column.from_dict(one) for one in data["competing"])
        return competing, float(data["confidence"]), tuple(float(time) for time in data["at"])

    def parameters(self) -> dict[str, Json]:
        return {
            **FollowUp.parameters(self),
            "competing": [cause.to_dict() for cause in self.competing],
            "confidence": self.confidence,
            "at": list[Json](self.at),
        }

    @property
    def as_typed(self) -> dict[str, str]:
        """All but the grid and the group, which is compared by itself."""
        return {
            "time": self.time.name,
            "event": self.event.name,
            "competing": ",".join(cause.name for cause in self.competing),
            "horizon": repr(self.horizon),
            "confidence": repr(self.confidence),
            **({"at": ",".join(map(repr, self.at))} if self.at else {}),
        }

    @property
    def causes(self) -> tuple[Column, ...]:
        return (self.event, *self.competing)

    @property
    def columns(self) -> tuple[str, ...]:
        group = [self.group.column.name] if self.group else []
        return (self.time.name, *(cause.name for cause in self.causes), *group)

    def ended_in(self, rows: Rows) -> NDArray[np.int64]:
        """(n,): see `step_of`; 0 for a time that is missing, whose patient is in no arm."""
        return self.step_of(np.nan_to_num(rows[self.time.name]))

    def counts_of(self, rows: Rows, shape: Shape, cell: NDArray[np.int64]) -> Floats:
        """(arms * length,): patients in each place of a `Shape`; `cell` is (n,), beyond the last for those beyond."""
        arm = self.arm_of(rows)
        happened = np.array([rows[cause.name] == 1 for cause in self.causes])
        kind = np.where(happened.any(axis=0), happened.argmax(axis=0), shape.causes)
        place = np.where(cell < shape.cells, kind * shape.cells + cell, shape.length - 1)
        inside = arm >= 0
        counts = np.bincount((arm * shape.length + place)[inside], minlength=len(self.arms) * shape.length)
        return counts.astype(np.float64)

    def heading(self) -> dict[str, Json]:
        return {
            **FollowUp.heading(self),
            "competing": [{"column": cause.name, "label": cause.label} for cause in self.competing],
        }
