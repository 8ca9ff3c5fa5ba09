"""One site's part in a Job: numbers, mask key, Rounds. Lives in the worker process and nowhere else."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from numpy.typing import NDArray

from synthema_core.analyses.base import Analysis
from synthema_core.charging import mechanism_of
from synthema_core.errors import IntegrityFailure, Refused
from synthema_core.plan import Plan
from synthema_core.privacy.noise import draw
from synthema_core.secure_sum import Member, Roster, input_digest
from synthema_core.secure_sum.layout import Floats, Ring
from synthema_datasite.worker.contributions import Contribution


class Contributor:
    """Computes, quantises, adds noise where the Plan is private, masks: in that order, all before anything leaves.

    Parameters
    ----------
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
        left_out: NDArray[np.bool_] | None = None,
    ) -> None:
        self._job, self._plan, self._analysis = job, plan, analysis
        self._mechanism = mechanism_of(plan, analysis)
        self._contribution = contribution
        self._left_out = left_out
        self._member = Member(site, X25519PrivateKey.generate())
        self._rounds = 0

    @property
    def mask_key(self) -> str:
        """The public half, hexadecimal."""
        return self._member.public_key

    def contribute(self, round_index: int, values: Floats, roster: Mapping[str, Any] | None) -> Ring:
        """The masked Contribution to this Round, (layout.length,) in Z_2^64.

        Parameters
        ----------
        round_index
            From 1, one after the other, at most the analysis's `max_rounds`.
        roster
            With the first Round: every site's signed mask key.
        """
        if round_index != self._rounds + 1 or round_index > self._analysis.max_rounds:
            raise Refused("The round is not the one that comes next.", rule="protocol")
        if round_index == 1:
            self._join(roster)
        self._analysis.check_input(values)
        self._rounds = round_index
        ring = self._plan.layout.quantise(self._contribution.values(values))
        if self._mechanism is not None:
            ring = ring + draw(self._mechanism, self._plan.layout.length)
        if self._left_out is not None:
            ring[self._left_out] = _uniform(int(self._left_out.sum()))
        masked = self._member.mask(round_index, input_digest(values), ring)
        self._contribution.wait()
        return masked

    def _join(self, roster: Mapping[str, Any] | None) -> None:
        """Check every key against the identities in the Plan the steward approved: the hub cannot put in its own."""
        if roster is None:
            raise IntegrityFailure("The first round came without a roster.")
        offered = Roster.from_dict(roster)
        checked = Roster.gather(self._job, self._plan.digest, offered.announcements, self._plan.identities)
        self._member.join(checked)


def _uniform(count: int) -> Ring:
    return np.frombuffer(secrets.token_bytes(8 * count), dtype="<u8").astype(np.uint64)
