"""The patients a Plan is about, among a site's rows; and how far they are from those of earlier exact answers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Rows
from synthema_core.cohort import Cohort
from synthema_core.errors import InvalidInput, InvalidPlan, NotFound, Refused
from synthema_core.ports import RowStore
from synthema_core.schemas import Schema


def check_apart(
    chosen: NDArray[np.bool_], earlier: Iterable[Cohort], store: RowStore, schema: Schema, least: int
) -> None:
    """Refuse exact sums whose difference from earlier ones is about fewer than `least` patients here, but not none.

    Whoever subtracts the two answers reads the sums over those patients. The refusal says that there are some, which
    is one bit about them; what they would have summed to is not told.

    Parameters
    ----------
    chosen
        (n,): the rows, each a patient, of the new Cohort.
    earlier
        Those that the present schema cannot express are about other data, and are not compared.

    Raises
    ------
    Refused
        By the rule `cohort-difference`.
    """
    for cohort in earlier:
        try:
            cohort.check_against(schema)
        except (InvalidInput, InvalidPlan, NotFound):
            continue
        apart = int(np.count_nonzero(chosen ^ members(cohort, store, schema, len(chosen))))
        if 0 < apart < least:
            raise Refused(
                "Too few patients are apart from those of an earlier exact answer: their sums would be known.",
                "Ask about the same patients as before, about more different ones, or privately with --epsilon.",
                rule="cohort-difference",
            )


def members(cohort: Cohort, store: RowStore, schema: Schema, length: int) -> NDArray[np.bool_]:
    """(length,): which rows are in."""
    if cohort.is_everyone:
        return np.ones(length, dtype=np.bool_)
    rows: Rows = store.load(cohort.reads(()))
    return cohort.apply(rows, schema)[1]
