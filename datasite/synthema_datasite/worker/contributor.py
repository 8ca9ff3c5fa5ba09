"""One site's part in a Job: numbers, noise, masks, Rounds. Lives in the worker process and nowhere else."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthema_core.analyses.base import Analysis
from synthema_core.canonical import Json
from synthema_core.charging import mechanism_of
from synthema_core.errors import IntegrityFailure
from synthema_core.plan import Plan
from synthema_core.privacy.noise import draw
from synthema_core.secure_sum import Announcement, Member, Memory, Roster, Survivors, input_digest
from synthema_core.secure_sum.layout import Floats, Ring
from synthema_core.secure_sum.sealing import from_wire, to_wire
from synthema_datasite.worker.contributions import Contribution


class Contributor:
    """Computes, quantises, adds noise where the Plan is private, masks: in that order, all before anything leaves.

    Parameters
    ----------
    memory
        Of this Job: a process that was started anew goes on where the one before it ended.
    left_out
        (layout.length,): values that this site's stewards do not give. Random ones are summed in their place, so that
        the others' sum cannot be read there either.
    """

    def __init__(
        self,
        job: str,
        site: str,
        plan: Plan,
        analysis: Analysis,
        contribution: Contribution,
        memory: Memory,
        left_out: NDArray[np.bool_] | None = None,
    ) -> None:
        self._plan, self._analysis = plan, analysis
        self._mechanism = mechanism_of(plan, analysis)
        self._contribution = contribution
        self._left_out = left_out
        fresh = secrets.token_bytes(32)
        self._member = Member(site, job, plan.digest, plan.identities, plan.terms, analysis.max_rounds, memory, fresh)

    @property
    def announcement(self) -> Announcement:
        """Not signed yet."""
        return self._member.announcement()

    def deal(self, roster: Mapping[str, Any]) -> dict[str, Json]:
        """Check every key against the identities in the Plan the steward approved: the hub cannot put in its own."""
        return to_wire(self._member.join(Roster.announced(roster)))

    def contribute(
        self, round_index: int, values: Floats, roster: Mapping[str, Any] | None, dealt: Mapping[str, Any] | None
    ) -> Ring:
        """The masked Contribution to this Round, (layout.length,) in Z_2^64; the same when it is asked for again.

        Parameters
        ----------
        roster
            Every site's signed keys, before the first Round of a Job in which nobody may be missing.
        dealt
            This site's sealed shares, by sender, before the first one of any other: `deal` had its Roster.
        """
        if not self._member.has_session:
            self._begin(roster, dealt)
        seen = input_digest(values)
        before = self._member.masked_before(round_index, seen)
        if before is not None:
            self._contribution.wait()
            return before
        self._analysis.check_input(values)
        ring = self._plan.layout.quantise(self._contribution.values(values))
        if self._mechanism is not None:
            ring = ring + draw(self._mechanism.site_deviation, self._plan.layout.length)
        if self._left_out is not None:
            ring[self._left_out] = _uniform(int(self._left_out.sum()))
        masked = self._member.mask(round_index, seen, ring)
        self._contribution.wait()
        return masked

    def choose(self, round_index: int, survivors: Sequence[str]) -> tuple[Survivors, bool]:
        """Agree to these survivors of a Round and no others; and whether nobody is missing."""
        chosen = self._member.choose(round_index, survivors)
        return chosen, self._member.is_whole(chosen)

    def reveal(self, round_index: int, signatures: Mapping[str, str]) -> dict[str, Json]:
        """Shares that take the masks off the sum of the survivors that enough of them have signed."""
        return self._member.reveal(round_index, signatures).to_dict()

    def _begin(self, roster: Mapping[str, Any] | None, dealt: Mapping[str, Any] | None) -> None:
        if self._plan.terms.recovers:
            self._member.accept(from_wire(dealt))
        elif roster is None:
            raise IntegrityFailure("The first round came without a roster.")
        else:
            self._member.join(Roster.announced(roster))


def _uniform(count: int) -> Ring:
    return np.frombuffer(secrets.token_bytes(8 * count), dtype="<u8").astype(np.uint64)
