"""The sites' Budgets with a slider: what one more request of a chosen cost would leave, before any is spent."""

from __future__ import annotations

from typing import Any

import anywidget
import traitlets

import synthema_views
from synthema_core.planning import DEFAULT_DELTA, DEFAULT_EPSILON
from synthema_kernel import shown_budget
from synthema_kernel.budget import SiteBudget, SiteOutlook, outlook_of
from synthema_kernel.session import Session

EPSILONS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
"""Where the slider stops."""


class BudgetGauge(anywidget.AnyWidget):
    """The view ``gauge`` of extensions/views, hosted in a notebook.

    Attributes
    ----------
    sites
        For each site (and group of patients): its title, what is taken, and what each of `epsilons` would come to.
    epsilons
        Costs of one more request that the slider offers.
    chosen
        The index of the one it begins with.
    """

    _esm = synthema_views.module("gauge.js")
    _css = synthema_views.module("gauge.css")
    sites = traitlets.List().tag(sync=True)
    epsilons = traitlets.List().tag(sync=True)
    chosen = traitlets.Int(0).tag(sync=True)

    def __init__(self, known: list[SiteBudget], researcher: str) -> None:
        steps = [outlook_of(known, researcher, epsilon, DEFAULT_DELTA) for epsilon in EPSILONS]
        self._text = str(shown_budget.text(known))
        super().__init__(
            sites=[_site(known, index, [step[index] for step in steps]) for index in range(len(known))],
            epsilons=list(EPSILONS),
            chosen=EPSILONS.index(DEFAULT_EPSILON),
        )

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"{self}\n(a gauge with a slider: open the notebook to move it)"


def gauge(session: Session, dataset: str = "") -> BudgetGauge:
    """The gauge of one dataset's Budgets, or of all.

    Raises
    ------
    NotFound
        If no site has told a Budget of that dataset.
    """
    return BudgetGauge(session.budgets(dataset), session.client.me())


def _site(known: list[SiteBudget], index: int, steps: list[SiteOutlook]) -> dict[str, Any]:
    one = known[index]
    slices = zip(("others", "yours", "promised"), shown_budget.slices(one), strict=True)
    return {
        "title": shown_budget.title(one, known),
        "slices": [{"kind": kind, "label": part.label, "share": part.share} for kind, part in slices],
        "steps": [_step(step) for step in steps],
    }


def _step(planned: SiteOutlook) -> dict[str, Any]:
    assert planned.outlook is not None, "of a site that has told its budget"
    reason = shown_budget.reason(planned) if planned.refused else ""
    return {"adds": shown_budget.adds(planned), "left": planned.outlook.left, "reason": reason}
