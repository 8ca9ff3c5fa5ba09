"""Hidden cells stay hidden: against an attack that tries every table of whole numbers, written without ours."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from support.staging import staged
from synthema_core.code.references import selected
from synthema_core.disclosure import DisclosureFinding, Kind, Severity, Staged, findings, suggest_redaction
from synthema_core.disclosure.intervals import Attack
from synthema_core.disclosure.margins import margins
from synthema_core.disclosure.parts import curves, steps_in_outputs
from synthema_core.disclosure.system import System, system_of
from synthema_core.disclosure.tables import tables_of

LEAST = 4
Cell: TypeAlias = tuple[int, ...]
Sum: TypeAlias = tuple[frozenset[Cell], int]
"""These cells together are so many."""

SLOWLY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class EveryTable:
    """All tables of whole numbers from 0 that have the shown cells and the known sums."""

    def __init__(self, shape: tuple[int, ...], shown: dict[Cell, int], sums: list[Sum]) -> None:
        self._cells = list(product(*(range(size) for size in shape)))
        self._shown, self._sums = shown, sums
        self._of = {cell: [i for i, (cells, _) in enumerate(sums) if cell in cells] for cell in self._cells}

    def interval(self, cell: Cell, most: int) -> tuple[int, int]:
        possible = [value for value in range(most + 1) if self._possible(cell, value)]
        return min(possible), max(possible)

    def _possible(self, cell: Cell, value: int) -> bool:
        left = [total for _, total in self._sums]
        open_ = [len(cells) for cells, _ in self._sums]
        fixed = {**self._shown, cell: value}
        if self._shown.get(cell, value) != value:
            return False
        for known, count in fixed.items():
            for i in self._of[known]:
                left[i], open_[i] = left[i] - count, open_[i] - 1
        return self._fill([other for other in self._cells if other not in fixed], left, open_)

    def _fill(self, cells: list[Cell], left: list[int], open_: list[int]) -> bool:
        if any(rest < 0 or (not many and rest) for rest, many in zip(left, open_, strict=True)):
            return False
        if not cells:
            return True
        own = self._of[cells[0]]
        forced = [left[i] for i in own if open_[i] == 1]
        most = min((left[i] for i in own), default=0)
        for count in forced[:1] or range(most, -1, -1):
            after, many = list(left), list(open_)
            for i in own:
                after[i], many[i] = after[i] - count, many[i] - 1
            if self._fill(cells[1:], after, many):
                return True
        return False


def everything(table: NDArray[Any], shown: set[str], margin_of: dict[str, int]) -> EveryTable:
    """What is known where these references are shown; a margin is named by the axis that it is summed over."""
    cells = {
        index: int(table[index])
        for index in product(*(range(size) for size in table.shape))
        if f"table[{','.join(map(str, index))}]" in shown
    }
    sums: list[Sum] = [(frozenset(product(*(range(size) for size in table.shape))), int(table.sum()))]
    for name, axis in margin_of.items():
        total = table.sum(axis)
        for index in product(*(range(size) for size in total.shape)):
            if f"{name}[{','.join(map(str, index))}]" in shown:
                line = frozenset((*index[:axis], along, *index[axis:]) for along in range(table.shape[axis]))
                sums.append((line, int(total[index])))
    return EveryTable(table.shape, cells, sums)


def shown_in(staged_: Staged, redacted: tuple[str, ...]) -> set[str]:
    """The references of the single cells that are not left out."""
    hidden = staged_.outputs.unflatten(selected(redacted, staged_.outputs).astype(float))
    return {
        f"{name}[{','.join(map(str, cell))}]"
        for name, array in hidden.items()
        for cell in np.argwhere(array == 0).tolist()
    }


def small(table: NDArray[Any]) -> list[Cell]:
    return [tuple(cell) for cell in np.argwhere((table > 0) & (table < LEAST)).tolist()]


def with_margins(table: NDArray[Any]) -> tuple[Staged, dict[str, int]]:
    names = {f"over{axis}": axis for axis in range(table.ndim)}
    arrays = {"table": table, **{name: table.sum(axis) for name, axis in names.items()}}
    return staged(arrays, patients=int(table.sum()), least=LEAST), names


def tables(*shapes: tuple[int, ...], most: int = 9) -> st.SearchStrategy[NDArray[Any]]:
    def of(shape: tuple[int, ...]) -> st.SearchStrategy[NDArray[Any]]:
        many = int(np.prod(shape))
        cell = st.one_of(st.integers(0, most), st.integers(1, LEAST - 1), st.integers(LEAST, most))
        return st.lists(cell, min_size=many, max_size=many).map(lambda values: np.array(values).reshape(shape))

    return st.sampled_from(shapes).flatmap(of)


def check_all_hidden(table: NDArray[Any]) -> None:
    assume(table.sum() >= 2 * LEAST)
    known, names = with_margins(table)
    shown = shown_in(known, suggest_redaction(findings(known), known.outputs))
    attack = everything(table, shown, names)
    for cell in small(table):
        low, high = attack.interval(cell, int(table.sum()))
        assert high - low >= LEAST, (table, cell, sorted(shown))


@SLOWLY
@given(tables((2, 2), (2, 3), (3, 3)))
def test_no_small_cell_of_a_table_with_margins_is_given_back(table: NDArray[Any]) -> None:
    check_all_hidden(table)


@settings(SLOWLY, derandomize=True, max_examples=40)  # of some cubes, trying every table takes minutes: not of these
@given(tables((2, 2, 2), (2, 2, 3), most=7))
def test_no_small_cell_of_a_cube_with_margins_is_given_back(table: NDArray[Any]) -> None:
    """Where the ends of a linear program need not be whole numbers."""
    check_all_hidden(table)


@SLOWLY
@given(tables((3, 3), (2, 4)))
def test_totals_within_the_table_are_found(table: NDArray[Any]) -> None:
    assume(table.sum() >= 2 * LEAST)
    full = np.zeros((table.shape[0] + 1, table.shape[1] + 1), dtype=int)
    full[:-1, :-1], full[:-1, -1], full[-1, :-1], full[-1, -1] = table, table.sum(1), table.sum(0), table.sum()
    known = staged({"table": full}, patients=int(table.sum()), least=LEAST)
    shown = shown_in(known, suggest_redaction(findings(known), known.outputs))
    rows, columns = table.shape
    shown |= {f"over1[{i}]" for i in range(rows) if f"table[{i},{columns}]" in shown}
    shown |= {f"over0[{j}]" for j in range(columns) if f"table[{rows},{j}]" in shown}
    attack = everything(table, shown, {"over0": 0, "over1": 1})
    for cell in small(table):
        low, high = attack.interval(cell, int(table.sum()))
        assert high - low >= LEAST, (full, cell, sorted(shown))


@SLOWLY
@given(st.lists(st.integers(0, 9), min_size=4, max_size=9), st.booleans())
def test_no_small_step_of_a_curve_is_given_back(steps: list[int], rises: bool) -> None:
    """A hidden point lies between its neighbours: a run of hidden points hides a step if its ends are far apart."""
    left = np.cumsum(steps[::-1])[::-1]
    patients = int(left[0])
    assume(left.sum() > patients >= 3 * LEAST)
    assume(2 * patients != left.sum())  # it could as well be groups and their total
    values = left[::-1] if rises else left
    known = staged({"curve": values}, patients=patients, least=LEAST)
    found = findings(known)
    redacted = suggest_redaction(found, known.outputs)
    hidden = selected(redacted, known.outputs)
    if hidden.all():
        return
    falling, gone = (values[::-1], hidden[::-1]) if rises else (values, hidden)
    above, below = [patients, *falling], [*falling, 0]
    for place in range(len(falling) - 1):
        if not 0 < falling[place] - falling[place + 1] < LEAST:
            continue
        before = next((falling[i] for i in range(place, -1, -1) if not gone[i]), patients)
        after = next((falling[i] for i in range(place + 1, len(falling)) if not gone[i]), 0)
        assert before - after >= LEAST, (above, below, gone)


def system_for(known: Staged) -> System:
    tables = tables_of(known)
    found = curves(tables, known.values, known.patients, None)
    relations = margins(tables, known.values, known.patients) + steps_in_outputs(found, tables, known.values)
    return system_of(known, relations, found)


@SLOWLY
@given(tables((2, 3), (3, 3), (2, 2, 2), most=6), st.data())
def test_intervals_are_those_of_every_table(table: NDArray[Any], data: st.DataObject) -> None:
    """Whatever is left out: the same ends as an enumeration finds."""
    assume(table.sum() > 0 and all(table.sum(axis).any() for axis in range(table.ndim)))
    known, names = with_margins(table)
    length = known.outputs.length
    hidden = np.array(data.draw(st.lists(st.booleans(), min_size=length, max_size=length)))
    system = system_for(known)
    redacted = {ref for ref, gone in zip(every_cell(known), hidden, strict=True) if gone}
    attack = everything(table, set(every_cell(known)) - redacted, names)
    for place, cell in enumerate(product(*(range(size) for size in table.shape))):
        ours = Attack(system).interval(hidden, place)
        theirs = attack.interval(cell, int(table.sum()))
        assert theirs[0] <= round(ours[0]) and round(ours[1]) <= theirs[1], "never wider than what is possible"
        if exact(known, system, names):
            assert (round(ours[0]), round(ours[1])) == theirs
        wide = not len(Attack(system).narrow(hidden, np.array([place])))
        if wide and (~hidden).any():
            assert theirs[1] - theirs[0] >= LEAST


def every_cell(known: Staged) -> list[str]:
    return [
        f"{output.name}[{','.join(map(str, cell))}]"
        for output in known.outputs.outputs
        for cell in product(*(range(size) for size in output.shape))
    ]


def exact(known: Staged, system: System, names: dict[str, int]) -> bool:
    """Whether nothing else ties the cells, by chance, than the margins and the total."""
    lines = sum(known.outputs.outputs[1 + axis].length for axis in names.values())
    alone = len(system.values) == known.outputs.length
    return alone and bool(np.linalg.matrix_rank(system.matrix.toarray()) == lines + 1)


def test_what_only_fractions_of_patients_could_reach_is_not_possible() -> None:
    """5 p + q = 38 with q up to 4: p from 6.8 to 7.6 for a linear program, and 7 for patients."""
    matrix, one_part, whole = csr_array([[5.0, 1.0, -1.0]]), np.zeros(3, dtype=np.int64), np.ones(3, dtype=np.bool_)
    limits = np.zeros(3), np.array([100.0, 4.0, 100.0])
    values, protection = np.array([7.0, 3.0, 38.0]), np.full(3, 0.5)
    system = System(3, values, *limits, whole, protection, matrix, one_part, np.zeros(0, dtype=np.int64))
    hidden = np.array([True, True, False])
    assert Attack(system).narrow(hidden, np.array([0, 1])).tolist() == [0, 1]
    assert Attack(system).interval(hidden, 0) == (7, 7)
    fractions = replace(system, whole=np.zeros(3, dtype=np.bool_))
    assert Attack(fractions).narrow(hidden, np.array([0, 1])).tolist() == []


@pytest.mark.slow
def test_measured_how_many_cells_go_that_need_not() -> None:
    """Against the fewest cells that hide enough, found by trying every choice of cells within the table."""
    draw, more = np.random.default_rng(5), []
    for _ in range(40):
        table = draw.integers(5, 40, (3, 4))
        table[tuple(draw.integers(0, (3, 4)))] = draw.integers(1, 4)
        known, _names = with_margins(table)
        ours = len(redacted(known))
        more.append(ours - fewest(known))
    assert min(more) >= 0
    assert np.mean(more) <= 0.5


def fewest(known: Staged) -> int:
    attack, cells = Attack(system_for(known)), known.outputs.outputs[0].length
    start = (known.values > 0) & (known.values < LEAST)
    for many in range(cells):
        for choice in combinations(np.flatnonzero(~start[:cells]).tolist(), many):
            hidden = start.copy()
            hidden[list(choice)] = True
            if not len(attack.narrow(hidden, np.flatnonzero(start))):
                return int(hidden.sum())
    return cells


# By hand


def kinds(found: tuple[DisclosureFinding, ...]) -> set[Kind]:
    return {finding.kind for finding in found}


def redacted(known: Staged) -> tuple[str, ...]:
    return suggest_redaction(findings(known), known.outputs)


TABLE = np.array([[3, 40, 50], [60, 30, 20], [44, 25, 28]])


def test_one_small_cell_takes_a_rectangle() -> None:
    known = staged({"table": TABLE, "rows": TABLE.sum(1), "columns": TABLE.sum(0)}, patients=300)
    assert len(redacted(known)) == 4
    assert "table[0,0]" in redacted(known)


def test_without_totals_one_cell_is_enough() -> None:
    assert redacted(staged({"table": TABLE}, patients=1000)) == ("table[0,0]",)


def test_the_number_of_patients_is_a_total() -> None:
    assert redacted(staged({"stage": [3, 97, 50]}, patients=150)) == ("stage[0]", "stage[2]")


def test_a_hidden_cell_between_narrow_neighbours_takes_another() -> None:
    """Two hidden cells of a line that hold 5 together are each known to within 5."""
    known = staged({"stage": [3, 2, 45, 60], "all": 110}, patients=200)
    assert redacted(known) == ("stage[0]", "stage[1]", "stage[2]")


def test_a_copy_and_a_part_of_a_whole_are_found() -> None:
    men, women = [3, 40, 50], [50, 41, 35]
    both = (np.array(men) + women).tolist()
    assert set(redacted(staged({"men": men, "women": women, "both": both}, patients=900))) >= {"men[0]", "women[0]"}
    assert set(redacted(staged({"men": men, "again": men}, patients=900))) >= {"men[0]", "again[0]"}
    assert "total" in redacted(staged({"a": 3, "b": 50, "total": 53}, patients=900)) or "b" in redacted(
        staged({"a": 3, "b": 50, "total": 53}, patients=900)
    )


@pytest.mark.parametrize(
    ("more", "cell"),
    [({"again": [3, 97, 50]}, 1), ({"again": [[3], [97], [50]]}, 1), ({"late": 50}, 2), ({"all": 150}, 1)],
    ids=str,
)
def test_what_another_output_shows_is_not_hidden(more: dict[str, Any], cell: int) -> None:
    """A copy, a copy of one cell, a total: with the first and this cell left out, both can be computed."""
    known = staged({"stage": [3, 97, 50], **more}, patients=2000)
    hidden = np.zeros(known.outputs.length, dtype=np.bool_)
    hidden[[0, cell] if "all" not in more else [0]] = True
    assert Attack(system_for(known)).narrow(hidden, np.flatnonzero(hidden)[-1:]).size == 1


def test_a_line_of_a_table_in_another_output_is_found() -> None:
    known = staged({"table": TABLE, "middle": TABLE[:, 1]}, patients=2000)
    hidden = np.arange(known.outputs.length) == 4
    assert Attack(system_for(known)).narrow(hidden, np.array([4])).size == 1


def test_a_cell_chosen_to_be_hidden_is_hidden_wherever_it_is_shown() -> None:
    hidden = set(redacted(staged({"stage": [3, 97, 50], "late": 50}, patients=150)))
    assert hidden in ({"stage[0]", "stage[1]"}, {"stage[0]", "stage[2]", "late"})


def test_a_small_cell_of_a_large_table_takes_no_more_than_a_rectangle() -> None:
    table = 20 + np.arange(64).reshape(8, 8) * 7 % 31
    table[3, 4] = 2
    known = staged({"table": table, "rows": table.sum(1), "columns": table.sum(0)}, patients=int(table.sum()))
    assert len(redacted(known)) == 4


def test_totals_declared_as_numbers_are_totals_too() -> None:
    known = staged({"stage": [3, 97, 50]}, {"sum": np.array(150.0)}, patients=2000)
    assert len(redacted(known)) == 2


def test_the_steps_of_a_curve_are_tied_to_the_events() -> None:
    """Deaths and censored of each interval are the steps of the patients at risk."""
    risk, deaths, censored = [1000, 950, 897, 800], [30, 50, 60, 400], [20, 3, 37, 400]
    known = staged({"risk": risk, "deaths": deaths, "censored": censored}, patients=1000)
    hidden = redacted(known)
    assert "censored[1]" in hidden
    assert set(hidden) & {"deaths[1]", "risk[1]", "risk[2]"}


def test_a_running_sum_begins_with_what_it_sums() -> None:
    known = staged({"so_far": [97, 147, 400, 500, 620], "each": [97, 50, 253, 100, 120]}, patients=2000)
    hidden = np.arange(known.outputs.length) == 5
    assert Attack(system_for(known)).narrow(hidden, np.array([5])).size == 1


def test_outputs_that_make_up_a_third_are_no_parts_of_each_other() -> None:
    """There are nearly as many deaths as censored: that tells of nobody."""
    risk, deaths, censored = [1000, 945, 850, 738, 640], [30, 50, 60, 50], [25, 45, 52, 48]
    known = staged({"risk": risk, "deaths": deaths, "censored": censored}, patients=1000)
    assert redacted(known) == ()


def test_a_table_too_fine_for_its_patients_goes_whole() -> None:
    table = np.arange(60).reshape(6, 10) % 12 + 1
    known = staged({"table": table}, patients=5000)
    assert redacted(known) == ("table",)
    assert Kind.TOO_FINE in kinds(findings(known))


def test_numbers_that_are_hidden_are_not_given_back_by_their_sum() -> None:
    """One patient's cost, which leaves with the total and the others."""
    rows = {"cost": np.array([812_345.25, *np.full(200, 100.5)])}
    known = staged({}, {"cost": [812_345.25, 5_000.5, 15_100.25], "all": 832_446.0}, patients=201, rows=rows)
    hidden = redacted(known)
    assert "cost[0]" in hidden
    assert len(hidden) == 2


def test_everything_is_severe_enough_to_act_on() -> None:
    known = staged({"table": TABLE, "rows": TABLE.sum(1), "columns": TABLE.sum(0)}, patients=300)
    assert all(finding.severity is Severity.SERIOUS for finding in findings(known) if finding.hide)


@pytest.mark.parametrize("patients", [2, 3, 9])
def test_a_site_of_few_patients_shows_nothing(patients: int) -> None:
    known = staged({"a": [1, patients - 1], "n": patients}, patients=patients)
    assert Kind.FEW_PATIENTS_HERE in kinds(findings(known))
    assert set(redacted(known)) == {"a", "n"}
