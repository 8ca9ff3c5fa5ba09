"""One site's part in a Job: rows, mask key, Rounds. Lives in the worker process and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from synthema_core.analyses import from_plan
from synthema_core.charging import mechanism_of
from synthema_core.errors import IntegrityFailure, Refused
from synthema_core.plan import Mode, Plan
from synthema_core.ports import RowStore
from synthema_core.privacy.noise import draw
from synthema_core.secure_sum import Member, Roster, input_digest
from synthema_core.secure_sum.layout import Floats, Ring


class Contributor:
    """Computes, quantises, adds noise where the Plan is private, masks: in that order, all before anything leaves.

    Raises
    ------
    Refused
        On opening, for exact Plans: if fewer patients than the Plan's `min_patients` enter the computation.
        Private Plans are not checked: whether a site has few patients is itself private.
    """

    def __init__(self, job: str, site: str, plan: Plan, rows: RowStore) -> None:
        self._job, self._plan = job, plan
        self._analysis = from_plan(plan.analysis, plan.parameters)
        self._mechanism = mechanism_of(plan, self._analysis)
        self._rows = rows.load(self._analysis.columns)
        self._member = Member(site, X25519PrivateKey.generate())
        self._rounds = 0
        if plan.mode is Mode.EXACT and self._analysis.cohort_size(self._rows) < plan.output.min_patients:
            raise Refused("Too few patients here have all the columns asked for.", rule="min_patients")

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
        ring = self._plan.layout.quantise(self._analysis.contribution(self._rows, values))
        if self._mechanism is not None:
            ring = ring + draw(self._mechanism, self._plan.layout.length)
        return self._member.mask(round_index, input_digest(values), ring)

    def _join(self, roster: Mapping[str, Any] | None) -> None:
        """Check every key against the identities in the Plan the steward approved: the hub cannot put in its own."""
        if roster is None:
            raise IntegrityFailure("The first round came without a roster.")
        offered = Roster.from_dict(roster)
        checked = Roster.gather(self._job, self._plan.digest, offered.announcements, self._plan.identities)
        self._member.join(checked)
