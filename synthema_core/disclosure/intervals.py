"""How closely the values that are left out are known from those that are not.

Somebody who knows every value of this site that is not left out (because it is the only one that has any there, or
the others put theirs together), the sums that hold between values, and that counts are whole and not negative, can
narrow each hidden value to an interval. Its ends are found by linear programming; an end counts only where a solution
in whole numbers reaches it, so that what is called wide is wide for whole numbers too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from synthema_core.disclosure.cells import Mask, Places
from synthema_core.disclosure.system import System, parts
from synthema_core.secure_sum.layout import Floats

_TOLERANCE = 1e-6
_TOGETHER = 12
_NODES = 2_000
_PEELINGS = 100
_GOLDEN = 0.6180339887498949


@dataclass(slots=True)
class Effort:
    """Linear programs cost time: about a second for `left` unknowns, over all of them."""

    left: int = 400_000

    def spend(self, unknowns: int) -> bool:
        self.left -= unknowns + 50
        return self.left > 0


@dataclass(frozen=True, slots=True)
class Piece:
    """Unknowns that hang together once the values that are not left out are put in: ``matrix @ z = right``."""

    own: Places
    matrix: Any
    right: Floats
    lower: Floats
    upper: Floats
    whole: Mask


@dataclass(slots=True)
class Known:
    """The part of each unknown's interval for which a solution was seen; it holds the true value."""

    low: Floats
    high: Floats

    def add(self, own: Places, solution: Floats) -> None:
        self.low[own] = np.minimum(self.low[own], solution)
        self.high[own] = np.maximum(self.high[own], solution)


@dataclass(slots=True)
class Attack:
    """What can be known of the hidden values of a System."""

    system: System
    effort: Effort = field(default_factory=Effort)

    def narrow(self, hidden: Mask, sensitive: Places) -> Places:
        """Those of the sensitive unknowns that are known to within less than their protection.

        Also those for which too much effort would be needed to tell.
        """
        known = self.known(hidden, sensitive)
        wide = known.high - known.low >= self.system.protection - _TOLERANCE
        return sensitive[~wide[sensitive]]

    def known(self, hidden: Mask, sensitive: Places) -> Known:
        """How wide the intervals of the sensitive unknowns are seen to be, as far as their protection asks."""
        system = self.system
        unknown = _unknown(system, hidden)
        known = Known(system.values.copy(), system.values.copy())
        free = _unreleased(system, unknown, hidden)
        known.low[free], known.high[free] = -np.inf, np.inf
        wanted = sensitive[unknown[sensitive] & ~free[sensitive]]
        for piece in _pieces(system, unknown & ~free, wanted):
            self._search(piece, wanted[np.isin(wanted, piece.own)], known)
        return known

    def _search(self, piece: Piece, wanted: Places, known: Known) -> None:
        protection = self.system.protection
        position = np.searchsorted(piece.own, wanted)

        def open_() -> Places:
            return position[(known.high - known.low)[wanted] < protection[wanted] - _TOLERANCE]

        downwards = np.zeros(len(piece.own))
        downwards[position] = 1.0
        self._try(piece, downwards, known)
        for turn in range(_TOGETHER):
            left = open_()
            if not len(left) or not self._raise_together(piece, left, known, turn):
                break
        for place in open_():
            self._alone(piece, int(place), known)

    def _raise_together(self, piece: Piece, left: Places, known: Known, turn: int) -> bool:
        """Bring as many as possible up to the end of their protection at once; whether any more got there.

        Each is split in two at that end, so that more than that earns nothing.
        """
        from scipy.sparse import hstack

        ends = known.low[piece.own[left]] + self.system.protection[piece.own[left]]
        room = np.maximum(ends - piece.lower[left], 0.0)
        upper = piece.upper.copy()
        upper[left] = np.maximum(upper[left] - room, piece.lower[left])
        weights = 1.0 + ((np.arange(len(left)) + turn) * _GOLDEN) % 1.0
        split = Piece(
            np.append(piece.own, piece.own[left]),
            hstack([piece.matrix, piece.matrix[:, left]]).tocsr(),
            piece.right,
            np.append(piece.lower, np.zeros(len(left))),
            np.append(upper, room),
            np.append(piece.whole, piece.whole[left]),
        )
        found = self._solve(split, np.append(np.zeros(len(piece.own)), -weights))
        if found is None:
            return False
        whole = found[: len(piece.own)].copy()
        whole[left] += found[len(piece.own) :]
        before = known.high[piece.own[left]]
        if _whole(piece, whole):
            known.add(piece.own, np.where(piece.whole, np.rint(whole), whole))
        return bool((known.high[piece.own[left]] > before).any())

    def _alone(self, piece: Piece, place: int, known: Known) -> None:
        unknown = piece.own[place]
        for direction in (1.0, -1.0):
            if known.high[unknown] - known.low[unknown] >= self.system.protection[unknown] - _TOLERANCE:
                return
            aim = np.zeros(len(piece.own))
            aim[place] = direction
            if not self._try(piece, aim, known):
                self._try(piece, aim, known, whole=True)

    def _try(self, piece: Piece, aim: Floats, known: Known, *, whole: bool = False) -> bool:
        """Add the solution that makes `aim` smallest, if it is one in whole numbers."""
        found = self._solve(piece, aim, whole=whole)
        if found is None or not _whole(piece, found):
            return False
        known.add(piece.own, np.where(piece.whole, np.rint(found), found))
        return True

    def _solve(self, piece: Piece, aim: Floats, *, whole: bool = False) -> Floats | None:
        if not self.effort.spend(len(piece.own) * (5 if whole else 1)):
            return None
        return solve(piece, aim, whole=whole)

    def interval(self, hidden: Mask, unknown: int) -> tuple[float, float]:
        """Both ends of what can be known of one unknown, in whole numbers where it is a count."""
        free = _unknown(self.system, hidden)
        if not free[unknown]:
            value = float(self.system.values[unknown])
            return value, value
        for piece in _pieces(self.system, free, np.array([unknown])):
            aim = (piece.own == unknown).astype(np.float64)
            ends = [solve(piece, direction * aim, whole=True) for direction in (1.0, -1.0)]
            if ends[0] is not None and ends[1] is not None:
                return float(ends[0] @ aim), float(ends[1] @ aim)
        return float(self.system.lower[unknown]), float(self.system.upper[unknown])


def solve(piece: Piece, aim: Floats, *, whole: bool = False) -> Floats | None:
    """The unknowns for which ``aim @ z`` is smallest; None where the solver finds none."""
    from scipy.optimize import Bounds, LinearConstraint, milp  # large, and an idle site needs none of it

    equations = [] if piece.matrix.shape[0] == 0 else [LinearConstraint(piece.matrix, piece.right, piece.right)]
    found = milp(
        aim,
        integrality=piece.whole.astype(int) if whole else None,
        bounds=Bounds(piece.lower, piece.upper),
        constraints=equations,
        options={"node_limit": _NODES},
    )
    return np.asarray(found.x, dtype=np.float64) if found.status == 0 else None


def _whole(piece: Piece, solution: Floats) -> bool:
    """Whether its counts can be rounded without breaking an equation: they are whole but for last bits."""
    near = np.where(piece.whole, np.rint(solution), solution)
    missed = np.abs(piece.matrix @ near - piece.right)
    return bool((missed <= _TOLERANCE * np.maximum(1.0, np.abs(piece.right))).all())


def _unknown(system: System, hidden: Mask) -> Mask:
    """(m,): what is left unknown once every equation with one unknown has given it away."""
    unknown = np.concatenate([hidden, np.ones(len(system.values) - system.length, dtype=np.bool_)])
    pattern = abs(system.matrix)
    for _ in range(_PEELINGS):
        single = (pattern @ unknown.astype(np.float64)) == 1
        if not single.any():
            break
        unknown &= pattern[single].sum(axis=0).reshape(-1) == 0
    return unknown


def _unreleased(system: System, unknown: Mask, hidden: Mask) -> Mask:
    """(m,): the unknowns of parts in which every value of an output is left out: nothing of them is told at all."""
    told = np.zeros(system.part.max(initial=0) + 1, dtype=np.bool_)
    told[system.part[: system.length][~hidden]] = True
    return unknown & ~told[system.part]


def _pieces(system: System, unknown: Mask, wanted: Places) -> Iterator[Piece]:
    """What hangs together with each of the wanted unknowns."""
    if not len(wanted):
        return
    free = np.flatnonzero(unknown)
    matrix = system.matrix[:, free]
    labels = parts(matrix)
    for label in np.unique(labels[np.searchsorted(free, wanted)]):
        inside = np.flatnonzero(labels == label)
        yield piece_of(system, free[inside], matrix[:, inside])


def piece_of(system: System, own: Places, columns: Any) -> Piece:
    matrix = columns[np.diff(columns.indptr) > 0]
    right = matrix @ system.values[own]
    return Piece(own, matrix, right, system.lower[own], system.upper[own], system.whole[own])
