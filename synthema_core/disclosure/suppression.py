"""Which further values must be left out so that what is hidden stays hidden (secondary suppression).

Fischetti and Salazar (Management Science 47, 2001) give the exact model. Here a linear program finds, for one hidden
value at a time, the cheapest set of values that can move together with it so that every sum still holds, and these are
left out too. That may be a few more than necessary; that it is enough is checked by `Attack.narrow` for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthema_core.disclosure.cells import Mask, Places
from synthema_core.disclosure.intervals import Attack, Piece, piece_of, solve
from synthema_core.disclosure.system import System
from synthema_core.secure_sum.layout import Floats

_TRIES = 5
_FLOWS = 1e-6
_EMPTY_COSTS = 4.0
_MOST_SINGLY = 40
_MOST_TAKEN_BACK = 24
_SHORT = 8
_SHARE = 3


@dataclass(frozen=True, slots=True)
class Suppression:
    """What is left out, (length,).

    Parameters
    ----------
    too_fine
        Values of outputs that are left out whole, because too much of them would have to go.
    given_up
        Values left out because no smaller choice was found, or none in reasonable time: all that are tied to a hidden
        one.
    """

    hidden: Mask
    too_fine: Mask
    given_up: Mask


def suppress(system: System, hidden: Mask, sensitive: Places, outputs: Sequence[Places]) -> Suppression:
    """The hidden values and those that must go with them.

    Parameters
    ----------
    sensitive
        The unknowns that must stay uncertain, hidden values among them.
    outputs
        Places of the values of each output.
    """
    attack = Attack(system)
    fine = _too_fine(system, sensitive, outputs) & ~hidden
    narrow = attack.narrow(hidden | fine, sensitive)
    if len(narrow) > _MOST_SINGLY:
        fine |= _owners(system, narrow, outputs) & ~hidden
        narrow = attack.narrow(hidden | fine, narrow)
    start = hidden | fine
    given_up = np.zeros_like(hidden)
    if len(narrow) > _MOST_SINGLY:
        given_up = _everything_tied(system, narrow) & ~start
        return Suppression(start | given_up, fine, given_up)
    chosen = start
    for unknown in narrow.tolist():
        found = _protect(attack, chosen, unknown)
        if found is None:
            tied = _everything_tied(system, np.array([unknown]))
            given_up |= tied & ~start
            chosen = chosen | tied
        else:
            chosen = found
    chosen = _taken_back(attack, start, chosen, sensitive)
    return Suppression(chosen, fine, given_up & chosen)


def _too_fine(system: System, sensitive: Places, outputs: Sequence[Places]) -> Mask:
    """Outputs of which a third of what is not empty would go: they are too fine for these patients."""
    owners, chosen = _owned_by(system, sensitive), np.zeros(system.length, dtype=np.bool_)
    many = np.bincount(owners, minlength=system.length)
    for own in outputs:
        filled = int((system.values[own] != 0).sum())
        chosen[own] = filled > _SHORT and many[own].sum() * _SHARE > filled
    return chosen


def _owners(system: System, unknowns: Places, outputs: Sequence[Places]) -> Mask:
    """The outputs that these unknowns are in, or are differences within."""
    owners, chosen = np.zeros(system.length, dtype=np.bool_), np.zeros(system.length, dtype=np.bool_)
    owners[_owned_by(system, unknowns)] = True
    for own in outputs:
        chosen[own] = owners[own].any()
    return chosen


def _owned_by(system: System, unknowns: Places) -> Places:
    inside = unknowns < system.length
    return np.append(unknowns[inside], system.owner[unknowns[~inside] - system.length])


def _everything_tied(system: System, unknowns: Places) -> Mask:
    tied: Mask = np.isin(system.part[: system.length], system.part[unknowns])
    return tied


def _protect(attack: Attack, hidden: Mask, unknown: int) -> Mask | None:
    """What must be hidden so that one unknown can move far enough; None if no choice was found."""
    system, one = attack.system, np.array([unknown])
    value, need = system.values[unknown], system.protection[unknown]
    for _ in range(_TRIES):
        known = attack.known(hidden, one)
        low, high = known.low[unknown], known.high[unknown]
        missing = need - (high - low)
        if missing <= _FLOWS:
            return hidden
        way = None
        for move in (high - value + missing, low - value - missing):
            if way is None and attack.effort.spend(int((system.part == system.part[unknown]).sum())):
                way = _way(system, hidden, unknown, float(move))
        if way is None or not (way & ~hidden).any():
            return None
        hidden = hidden | way
    return None


def _way(system: System, hidden: Mask, unknown: int, move: float) -> Mask | None:
    """(length,): the values that change when one is moved by so much, at the least cost of values not hidden yet."""
    own = np.flatnonzero(system.part == system.part[unknown])
    piece = piece_of(system, own, system.matrix[:, own])
    from scipy.sparse import hstack

    values = system.values[own]
    up, down = piece.upper - values, values - piece.lower
    place = int(np.searchsorted(own, unknown))
    least_up, least_down = np.zeros(len(own)), np.zeros(len(own))
    (least_up if move > 0 else least_down)[place] = abs(move)
    if abs(move) > (up if move > 0 else down)[place]:
        return None
    (down if move > 0 else up)[place] = 0.0
    moves = Piece(
        np.append(own, own),
        hstack([piece.matrix, -piece.matrix]).tocsr(),
        np.zeros(piece.matrix.shape[0]),
        np.append(least_up, least_down),
        np.append(np.maximum(up, 0.0), np.maximum(down, 0.0)),
        np.append(piece.whole, piece.whole),
    )
    costs = _costs(system, hidden, own)
    found = solve(moves, np.append(costs, costs))
    if found is None:
        return None
    moved = own[(found[: len(own)] + found[len(own) :]) > _FLOWS]
    chosen = np.zeros(system.length, dtype=np.bool_)
    chosen[moved[moved < system.length]] = True
    return chosen


def _costs(system: System, hidden: Mask, own: Places) -> Floats:
    """By unit of movement: what is hidden already costs next to nothing, large values more than small, empty most."""
    free = np.concatenate([hidden, np.ones(len(system.values) - system.length, dtype=np.bool_)])[own]
    sizes = np.log2(np.abs(system.values[own]) + 2.0)
    return np.where(free, 1e-4, np.where(system.values[own] == 0, _EMPTY_COSTS * sizes.max(), sizes))


def _taken_back(attack: Attack, start: Mask, hidden: Mask, sensitive: Places) -> Mask:
    """Show again what need not have gone, the largest first."""
    extra = np.flatnonzero(hidden & ~start)
    if len(extra) > _MOST_TAKEN_BACK:
        return hidden
    for place in extra[np.argsort(-np.abs(attack.system.values[extra]))]:
        trial = hidden.copy()
        trial[place] = False
        tied = sensitive[attack.system.part[sensitive] == attack.system.part[place]]
        if not len(attack.narrow(trial, tied)):
            hidden = trial
    return hidden
