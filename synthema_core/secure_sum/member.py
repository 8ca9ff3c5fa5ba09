"""One site's side of a Job's secure sums: Bonawitz et al. (CCS 2017), against a hub that may do anything.

==================  =====================================================================================
`announcement`      its keys: one of masks for each Round, one for shares
`join`              the Roster, checked; shares of its secrets for the other sites, sealed
`mask`              a Contribution with masks on: one for each Round, kept before it leaves
`choose`            who the sum is over: one set a Round, kept before it is signed
`reveal`            shares that take the masks off that sum, and off no other
==================  =====================================================================================

Where no site may be missing (`Terms.recovers` is False), pairs' masks alone do: `join` deals no shares, and nothing is
ever revealed. Every step may be asked for again, in the same words: the answer is the same bytes, from `Memory`, also
after a restart. Asked in other words, it is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from synthema_core.canonical import canonical
from synthema_core.errors import IntegrityFailure, Refused
from synthema_core.secure_sum.keys import SECRET_BYTES, JobKeys, agree
from synthema_core.secure_sum.layout import Ring
from synthema_core.secure_sum.masking import add_signed, pairwise_mask, self_mask
from synthema_core.secure_sum.memory import Memory
from synthema_core.secure_sum.roster import Announcement, Roster
from synthema_core.secure_sum.sealing import from_wire, seal, to_wire, unseal
from synthema_core.secure_sum.session import Moment, Session
from synthema_core.secure_sum.shamir import split
from synthema_core.secure_sum.survivors import Reveal, Survivors
from synthema_core.secure_sum.terms import Terms

_OF_A_ROUND = 2 * SECRET_BYTES
_DIGEST_BYTES = 32


class Member:
    """One site in one Job.

    Parameters
    ----------
    identities
        The Ed25519 key of each of the Plan's sites, as the steward approved it.
    rounds
        The most Rounds the Job may have.
    memory
        Of this Job alone; what an earlier process of the site left there is taken up.
    fresh
        32 random bytes, for a Job that begins.
    """

    def __init__(
        self,
        site: str,
        job: str,
        plan_digest: str,
        identities: Mapping[str, str],
        terms: Terms,
        rounds: int,
        memory: Memory,
        fresh: bytes,
    ) -> None:
        self._site, self._job, self._plan_digest = site, job, plan_digest
        self._identities, self._terms, self._rounds = dict(identities), terms, rounds
        self._memory = memory
        self._keys = JobKeys(memory.keep("seed", fresh))
        self._roster: Roster | None = None
        self._session: Session | None = None
        self._shares: dict[str, bytes] = {}
        self._last = 0  # the last Round that was masked, and for which input
        self._seen = ""
        self._take_up()

    def _take_up(self) -> None:
        roster, dealt = self._memory.recall("roster"), self._memory.recall("dealt")
        if roster is not None:
            self.join(Roster.announced(json.loads(roster)))
        if dealt is not None:
            self.accept(from_wire(json.loads(dealt)))
        for index in range(1, self._rounds + 1):
            masked = self._memory.recall(_masked(index))
            if masked is not None:
                self._last, self._seen = index, masked[:_DIGEST_BYTES].hex()

    def announcement(self) -> Announcement:
        """This site's public keys, for its identity to sign."""
        terms = self._terms
        return Announcement.of(
            self._site, self._job, self._plan_digest, self._keys, self._rounds, recovers=terms.recovers
        )

    def join(self, announcements: Sequence[Announcement]) -> dict[str, bytes]:
        """Check every key and take part under this Roster and no other; return the sealed shares, by receiver.

        Raises
        ------
        IntegrityFailure
            If a key is not its site's, this site's own is another, or the Job has a Roster already.
        RoundFailed
            If too few sites are in it.
        """
        roster = Roster.gather(self._job, self._plan_digest, announcements, self._identities, self._terms, self._rounds)
        if replace(roster.of(self._site), signature="") != self.announcement():
            raise IntegrityFailure("The roster shows other keys for this site than its own.")
        self._keep_same("roster", canonical(roster.to_dict()), "This job has a roster already.")
        self._roster = roster
        if not self._terms.recovers:
            self._session = Session(roster, roster.sites)
            return {}
        return self._deal(roster)

    def _deal(self, roster: Roster) -> dict[str, bytes]:
        secrets = b"".join(self._keys.round_secrets(index) for index in range(1, self._rounds + 1))
        threshold, points = self._terms.threshold, {site: self._terms.point(site) for site in roster.sites}
        randomness = self._keys.coefficients((threshold - 1) * len(secrets))
        shares = split(secrets, threshold, list(points.values()), randomness)
        self._shares[self._site] = shares[points[self._site]]  # beside those that were accepted: this may come again
        key = self._keys.share_key
        return {
            receiver: seal(shares[point], key, roster, self._site, receiver)
            for receiver, point in points.items()
            if receiver != self._site
        }

    def accept(self, dealt: Mapping[str, bytes]) -> None:
        """Take the shares of the others, by sender: they and this site are the Session, from now on.

        Raises
        ------
        IntegrityFailure
            If a share is not its sender's, too few sent some, or others were accepted before.
        """
        roster = self._joined()
        session = Session(roster, tuple(sorted({*dealt, self._site})))
        if self._site in dealt or len(session.dealers) < self._terms.least:
            raise IntegrityFailure(f"It takes the shares of {self._terms.least} sites.")
        key = self._keys.share_key
        shares = {sender: unseal(sealed, key, roster, sender, self._site) for sender, sealed in dealt.items()}
        if any(len(share) != self._rounds * _OF_A_ROUND for share in shares.values()):
            raise IntegrityFailure("There is not a share for each round.")
        content = canonical(to_wire(dealt))
        self._keep_same("dealt", content, "This job's shares were dealt already.")
        self._session = session
        self._shares |= shares

    @property
    def has_session(self) -> bool:
        """Whether Rounds may begin: the Roster is there and, where they are needed, the shares."""
        return self._session is not None

    def masked_before(self, round_index: int, seen: str) -> Ring | None:
        """What this site masked in that Round, for that input; None if it is to be made.

        Raises
        ------
        Refused
            If that Round had another input, or a later one has begun.
        """
        if not 1 <= round_index <= self._rounds:
            raise Refused("The Plan has no such round.", rule="protocol")
        if round_index < self._last:
            raise Refused(f"Round {round_index} is over at this site.", rule="protocol")
        kept = self._memory.recall(_masked(round_index))
        if kept is None:
            return None
        if kept[:_DIGEST_BYTES] != bytes.fromhex(seen):
            raise Refused(f"Round {round_index} had another input before.", rule="protocol")
        return np.frombuffer(kept[_DIGEST_BYTES:], dtype="<u8").astype(np.uint64)

    def mask(self, round_index: int, seen: str, ring: Ring) -> Ring:
        """`ring`, (n,), with this site's masks for that Round; the same as before if there was one for this input.

        Parameters
        ----------
        seen
            `input_digest` of what this site was told in the Round.
        """
        session = self._ready()
        before = self.masked_before(round_index, seen)
        if before is not None:
            return before
        masked = self._masked(session, Moment(session.digest, round_index, seen), ring)
        content = bytes.fromhex(seen) + masked.astype("<u8").tobytes()
        if self._memory.keep(_masked(round_index), content) != content:
            raise IntegrityFailure("Another process of this site masked that round.")
        if self._last:
            self._memory.let_go(_masked(self._last))
        self._last, self._seen = round_index, seen
        return masked

    def _masked(self, session: Session, moment: Moment, ring: Ring) -> Ring:
        masked, index = ring.copy(), moment.round_index
        key = self._keys.mask_key(index)
        for other in session.dealers:
            if other != self._site:
                secret = agree(key, session.roster.mask_key(other, index))
                add_signed(masked, pairwise_mask(secret, self._site, other, moment, len(ring)))
        if self._terms.recovers:
            add_signed(masked, (1, self_mask(self._keys.self_seed(index), len(ring))))
        return masked

    def choose(self, round_index: int, survivors: Sequence[str]) -> Survivors:
        """Let the Round's sum be over these sites: they only, whatever anybody says later.

        Raises
        ------
        Refused
            If they are too few, this site is none of them, or others were chosen.
        """
        chosen = Survivors(self._moment(round_index), tuple(survivors))
        session, names = self._ready(), list(survivors)
        if names != sorted(set(names)) or not set(names) <= set(session.dealers) or self._site not in names:
            raise Refused("The survivors are not of this job, or this site is none of them.", rule="survivors")
        if len(names) < self._terms.least:
            raise Refused(
                f"A sum is over at least {self._terms.least} of the Plan's sites.", "Try again.", rule="survivors"
            )
        kept = self._memory.keep(_chosen(round_index), canonical(chosen.statement()))
        if kept != canonical(chosen.statement()):
            raise Refused("This site has agreed to another set of survivors.", rule="survivors")
        return chosen

    def is_whole(self, chosen: Survivors) -> bool:
        """Whether nobody is missing: then a site reveals at once, which counts as signing this set."""
        return chosen.sites == self._ready().dealers

    def reveal(self, round_index: int, signatures: Mapping[str, str] | None = None) -> Reveal:
        """This site's shares for the set it has chosen.

        Parameters
        ----------
        signatures
            By site, over that set. Not needed where nobody is missing.

        Raises
        ------
        IntegrityFailure
            If fewer than the threshold signed it.
        """
        chosen, dealers = self._chosen(round_index), self._ready().dealers
        if not self.is_whole(chosen):
            chosen.check_certified(signatures or {}, self._identities, self._terms.threshold)
        begin = (round_index - 1) * _OF_A_ROUND
        shares = {site: self._shares[site][begin : begin + _OF_A_ROUND] for site in dealers}
        return Reveal(
            {site: shares[site][:SECRET_BYTES] for site in chosen.sites},
            {site: shares[site][SECRET_BYTES:] for site in dealers if site not in chosen.sites},
        )

    def _chosen(self, round_index: int) -> Survivors:
        kept = self._memory.recall(_chosen(round_index))
        if kept is None:
            raise Refused("This site has agreed to no survivors of that round.", rule="protocol")
        return Survivors.from_statement(json.loads(kept))

    def _moment(self, round_index: int) -> Moment:
        """Of the Round that this site has masked last."""
        session = self._ready()
        if not self._terms.recovers:
            raise Refused("This job's sums are over all sites: nothing is unmasked.", rule="protocol")
        if round_index != self._last or not self._last:
            raise Refused("This site has no part in that round.", rule="protocol")
        return Moment(session.digest, round_index, self._seen)

    def _joined(self) -> Roster:
        if self._roster is None:
            raise IntegrityFailure("This site has no roster of the job yet.")
        return self._roster

    def _ready(self) -> Session:
        if self._session is None:
            raise IntegrityFailure("A round cannot come before the roster and everybody's shares.")
        return self._session

    def _keep_same(self, name: str, content: bytes, otherwise: str) -> None:
        if self._memory.keep(name, content) != content:
            raise IntegrityFailure(otherwise)


def _masked(round_index: int) -> str:
    return f"masked-{round_index}"


def _chosen(round_index: int) -> str:
    return f"survivors-{round_index}"
