"""What analyses of survival have in common: a time, how it ended, groups, and a grid of times."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Rows
from synthema_core.analyses.columns import Column, Factor, complete
from synthema_core.analyses.one_round import OneRound
from synthema_core.analyses.options import Options
from synthema_core.canonical import Json
from synthema_core.errors import InvalidInput, InvalidPlan
from synthema_core.schemas import Field, Kind, Schema
from synthema_core.secure_sum.layout import Floats

ON_GRID = 1e-9
"""0.1 * 3 is a rounding error above the third step of 0.1, and belongs to it."""
_ALL = (("", "all patients"),)
_MOST_CELLS = 20_000
_USUAL_STEPS = {"days": 30.0, "weeks": 4.0, "months": 1.0, "years": 0.25}

Common: TypeAlias = tuple[Column, Column, Factor | None, float, float]


@dataclass(frozen=True, slots=True)
class FollowUp(OneRound):
    """How long patients stay free of an event, by group.

    Parameters
    ----------
    group
        The arms; None for one arm of all patients. Patients of other levels are left out.
    step
        Width of the time grid in the time's unit. A time counts as the end of its step: ceil(t / step) * step.
    horizon
        End of the grid, a whole number of steps; patients observed longer are counted as such, without their time.
    """

    time: Column
    event: Column
    group: Factor | None
    step: float
    horizon: float

    def __post_init__(self) -> None:
        if not (0 < self.step < math.inf and self.step <= self.horizon < math.inf):
            raise InvalidPlan("The time grid needs a step above 0 and a horizon of at least one step.")
        if self.horizon / self.step > _MOST_CELLS:
            raise InvalidPlan(f"The time grid has more than {_MOST_CELLS:,} steps.", "Use a larger --step.")
        if self.horizon != round(self.horizon / self.step) * self.step:
            raise InvalidPlan("The horizon is not a whole number of steps.", "Plan again.")

    def parameters(self) -> dict[str, Json]:
        return {
            "time": self.time.to_dict(),
            "event": self.event.to_dict(),
            "group": self.group.to_dict() if self.group else None,
            "step": self.step,
            "horizon": self.horizon,
        }

    def check_is(self, allowed: FollowUp, schema: Schema) -> None:
        """Raise unless it is what the schema allows, but for the levels of the group."""
        if self.group:
            every = Factor.of(schema.field(self.group.column.name))
            allowed = replace(allowed, group=every.only(code for code, _ in self.group.levels))
        if allowed != self:
            raise InvalidPlan("The Plan's columns, levels or time grid are not the schema's.", "Plan again.")

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.time.name, self.event.name, *([self.group.column.name] if self.group else []))

    @property
    def arms(self) -> tuple[tuple[str, str], ...]:
        """Codes and labels."""
        return self.group.levels if self.group else _ALL

    @property
    def steps(self) -> int:
        return round(self.horizon / self.step)

    def cohort_size(self, rows: Rows) -> int:
        return int(np.count_nonzero(self.arm_of(rows) >= 0))

    def arm_of(self, rows: Rows) -> NDArray[np.int64]:
        """(n,): each patient's arm; -1 for those left out."""
        cohort = complete(rows, self.columns[:-1] if self.group else self.columns)
        arm = self.group.indices(rows) if self.group else np.zeros(len(cohort), dtype=np.int64)
        return np.where(cohort, arm, -1)

    def step_of(self, times: Floats) -> NDArray[np.int64]:
        """(n,): how many steps after 0 each time counts; those beyond the horizon at one step more than there are."""
        return np.clip(np.ceil(times / self.step - ON_GRID), 0, self.steps + 1).astype(np.int64)

    def heading(self) -> dict[str, Json]:
        """What a result says of the question."""
        group = self.group.column if self.group else None
        return {
            "time": {**self.time.to_dict(), "step": self.step, "horizon": self.horizon},
            "event": {"column": self.event.name, "label": self.event.label},
            "group": {"column": group.name, "label": group.label} if group else None,
        }


def read_common(data: Mapping[str, Any]) -> Common:
    """Time, event, groups and grid of a Plan."""
    return (
        Column.from_dict(data["time"]),
        Column.from_dict(data["event"]),
        None if data["group"] is None else Factor.from_dict(data["group"]),
        float(data["step"]),
        float(data["horizon"]),
    )


def typed_group(typed: Options, schema: Schema) -> Factor | None:
    """--group, with --by-levels."""
    if "group" in typed:
        factor = Factor.of(schema.field(typed.required("group")))
        return factor.only(typed.words("by-levels")) if "by-levels" in typed else factor
    if "by-levels" in typed:
        raise InvalidInput("--by-levels chooses among the levels of a group.", "Give --group COLUMN, too.")
    return None


def typed_grid(typed: Options, time: Field, longest: float) -> tuple[float, float, bool]:
    """--step, --horizon and whether --exact-times; a step that is usual for the unit, if there is neither."""
    exact_times = typed.flag("exact-times")
    if exact_times and ("step" in typed or time.kind is not Kind.INTEGER):
        raise InvalidInput("--exact-times is for whole-numbered times, without --step.", "Use --step alone.")
    step = 1.0 if exact_times else typed.number("step", _USUAL_STEPS.get(time.unit, 0.0))
    if step <= 0:
        raise InvalidInput(f"The time grid on '{time.name}' needs a step above 0.", "Give --step, in its unit.")
    return step, typed_horizon(typed, step, longest), exact_times


def typed_horizon(typed: Options, step: float, longest: float) -> float:
    """--horizon, or the longest time of the schema, as a whole number of steps."""
    horizon = typed.number("horizon", longest)
    if not 0 < horizon <= 1e6 * step:
        raise InvalidInput("The horizon must lie after 0 and the step be no tiny part of it.", "Give --horizon.")
    return math.ceil(horizon / step - ON_GRID) * step


def check_times(at: tuple[float, ...], rmst: float | None, horizon: float) -> None:
    times = [*at, *([] if rmst is None else [rmst])]
    if list(at) != sorted(set(at)) or not all(0 < time <= horizon for time in times):
        raise InvalidPlan(f"--at and --rmst take different times after 0, up to {horizon:g}.", "Or a --horizon.")
