"""Which sites a Job's Rounds are over: those of the Roster that have dealt shares. A site accepts them once."""

from __future__ import annotations

from dataclasses import dataclass

from synthema_core.canonical import digest
from synthema_core.errors import IntegrityFailure
from synthema_core.secure_sum.roster import Roster


@dataclass(frozen=True, slots=True)
class Session:
    """A Roster, and its dealers in the order of their names. Where nothing is recovered, that is all of it."""

    roster: Roster
    dealers: tuple[str, ...]

    def __post_init__(self) -> None:
        if list(self.dealers) != sorted(set(self.dealers)) or not set(self.dealers) <= set(self.roster.sites):
            raise IntegrityFailure("Shares came from sites that are not in the roster.")

    @property
    def digest(self) -> str:
        """Sites that were told of other dealers have other masks, which do not cancel."""
        return digest({"roster": self.roster.digest, "dealers": list(self.dealers)})


@dataclass(frozen=True, slots=True)
class Moment:
    """One Round as one site saw it: what two sites must agree on for their masks to cancel.

    Parameters
    ----------
    seen
        `input_digest` of what the site was told in the Round.
    """

    session: str
    round_index: int
    seen: str
