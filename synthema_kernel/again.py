"""Asking once more: the question of an earlier Plan, with today's Cards and dates, as a Plan that supersedes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from synthema_core.analyses import from_plan
from synthema_core.analyses.diffprivlib_model import DIFFPRIVLIB, DiffprivlibModel
from synthema_core.code.declaration import AnyShape, check_taken
from synthema_core.code.questions import PerPatient
from synthema_core.planning import capacity_of
from synthema_kernel.question import Question, cost, given

if TYPE_CHECKING:
    from synthema_core.analyses.base import Analysis
    from synthema_core.card import Card
    from synthema_core.plan import Plan
    from synthema_kernel.client import View
    from synthema_kernel.line import Line


def ask_again(line: Line, view: View, plan: Plan) -> Question:
    """The same question to the same sites at the same cost, but for what the line changes."""

    def question(cards: Sequence[Card]) -> Analysis:
        asked = from_plan(plan.analysis, plan.parameters)
        if isinstance(asked, AnyShape):
            check_taken(asked.shape, cards)
        if isinstance(asked, DiffprivlibModel):  # whose epsilon is a part of the question
            return replace(asked, epsilon=line.number("epsilon") or asked.epsilon)
        return replace(asked, capacity=capacity_of(cards)) if isinstance(asked, PerPatient) else asked

    return Question(
        plan.analysis,
        dataset=plan.participants[0].dataset,
        purpose=given(line, "purpose") or plan.purpose,
        sites=line.names("sites") or plan.sites,
        **_cost(line, plan),
        name=given(line, "name") or view["name"],
        supersedes=view["id"],
        where=plan.cohort.where,
        derive=tuple(f"{one.name} = {one.text}" for one in plan.cohort.derived),
        ask=question,
    )


def _cost(line: Line, plan: Plan) -> dict[str, Any]:
    """As typed, and else as it was; how many may be insiders depends on the sites, so it stays only while they do."""
    typed = cost(line)
    if plan.analysis == DIFFPRIVLIB:
        return {**typed, "epsilon": None}
    if plan.privacy is None:
        return typed
    before: dict[str, Any] = {"delta": plan.privacy.delta}
    if typed["standard_error"] is None:
        before["epsilon"] = plan.privacy.epsilon
    if set(line.names("sites") or plan.sites) == set(plan.sites):
        before["insiders"] = plan.privacy.insiders
    return {**typed, **{part: value for part, value in before.items() if typed[part] is None}}
