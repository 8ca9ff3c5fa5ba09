"""All checks of one staged output, in the order in which they depend on each other."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from synthema_core.code.references import selected
from synthema_core.disclosure import derived, digits, earlier, echo, influence, margins, parts, small
from synthema_core.disclosure.cells import Mask, Places, by_output, spell
from synthema_core.disclosure.columns import columns_of
from synthema_core.disclosure.finding import DisclosureFinding, Kind, Severity
from synthema_core.disclosure.size import size_findings
from synthema_core.disclosure.staged import Staged
from synthema_core.disclosure.suppression import suppress
from synthema_core.disclosure.system import Difference, System, system_of
from synthema_core.disclosure.tables import Table, tables_of
from synthema_core.secure_sum.layout import Floats

_ORDER = list(Severity)


def findings(staged: Staged) -> tuple[DisclosureFinding, ...]:
    """What the checks notice, the serious first.

    They look at this site's own numbers. Only the sum over all sites would be released, and there a cell may be large
    that is small here; but no site can know that, and where it is the only one with patients in a cell, the sum is its
    own number. Likewise an outsider is taken to know every number of this site that is not left out. A cell that one
    site leaves out is random in the sum, so it is hidden for all.
    """
    tables, changes = tables_of(staged), staged.changes
    curves = parts.curves(tables, staged.values, staged.patients, changes)
    relations = margins.margins(tables, staged.values, staged.patients)
    relations += parts.steps_in_outputs(curves, tables, staged.values)
    differences = [*curves, *parts.remainders(tables, staged.values, changes, relations)]
    first = _direct(staged, tables, differences)
    system = system_of(staged, relations, differences)
    second = _consequences(staged, tables, system, _hidden(staged, first))
    found = [*first, *second]
    lasting = [finding for finding in found if finding.kind is not Kind.DIFFERENCE]
    found += earlier.known_before(staged, _hidden(staged, lasting))
    return tuple(sorted(found, key=lambda finding: _ORDER.index(finding.severity)))


def _direct(staged: Staged, tables: tuple[Table, ...], differences: list[Difference]) -> list[DisclosureFinding]:
    columns = list(columns_of(staged))
    return [
        *size_findings(staged),
        *small.small_cells(staged),
        *small.small_differences(staged, differences),
        *influence.influence_findings(staged),
        *echo.echoes(staged, columns),
        *echo.copies(staged, tables, columns),
        *digits.packed(staged, columns),
        *earlier.differences(staged, columns),
        *derived.numbers_of_small_groups(staged, tables),
        *small.whole_groups(staged, tables, differences),
        *digits.too_large(staged, columns),
        *small.plain_notes(staged, tables),
    ]


def _consequences(staged: Staged, tables: tuple[Table, ...], system: System, hidden: Mask) -> list[DisclosureFinding]:
    """What must go so that the hidden values, and small differences, cannot be computed from the rest."""
    outputs = [table.whole.reshape(-1) for table in tables]
    done = suppress(system, hidden, _sensitive(staged, system, hidden), outputs)
    limit = f"fewer than {staged.min_patients} patients"
    more = done.hidden & ~hidden & ~done.too_fine & ~done.given_up
    return [
        *_more(staged, done.too_fine, Kind.TOO_FINE, "too much of it would have to go, so all of it"),
        *_more(staged, more, Kind.GIVEN_BACK, f"otherwise totals give away what is hidden, or narrow it to {limit}"),
        *_more(staged, done.given_up, Kind.GIVEN_BACK, "tied to what is hidden, and no smaller choice was found"),
        *derived.rates_of_hidden(staged, tables, done.hidden),
    ]


def _sensitive(staged: Staged, system: System, hidden: Mask) -> Places:
    """The hidden values, and the differences that are small."""
    gaps: Floats = system.values[system.length :]
    small_gaps = (gaps > 0) & (gaps < staged.min_patients)
    return np.append(np.flatnonzero(hidden), system.length + np.flatnonzero(small_gaps)).astype(np.int64)


def _more(staged: Staged, chosen: Mask, kind: Kind, why: str) -> list[DisclosureFinding]:
    return [
        DisclosureFinding(kind, Severity.SERIOUS, name, cells, f"To be left out too: {spell(cells)}; {why}.", hide=True)
        for name, cells in by_output(chosen, staged.outputs).items()
    ]


def _hidden(staged: Staged, found: Iterable[DisclosureFinding]) -> Mask:
    hidden = np.zeros(staged.outputs.length, dtype=np.bool_)
    for finding in found:
        if finding.hide:
            hidden |= selected(finding.cells, staged.outputs)
    return hidden
