"""A Plan: frozen, hashed, and all that a site needs to know to decide. Nothing runs that is not under its digest."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Self

from synthema_core import moments
from synthema_core.canonical import Json, canonical, digest
from synthema_core.cohort import EVERYONE, Cohort
from synthema_core.errors import InvalidPlan
from synthema_core.secure_sum.layout import Layout
from synthema_core.secure_sum.terms import MOST_SITES, SMALLEST_FEDERATION, Terms

_SITE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_HEX64 = re.compile(r"[0-9a-f]{64}")
_LARGEST_BYTES = 1_000_000
_CIRCUMSTANCES = frozenset({"requester", "purpose", "created_at", "expires_at", "max_runs", "supersedes"})


class Mode(StrEnum):
    """EXACT: sums without noise, where every site's Policy allows. PRIVATE: every site adds charged noise."""

    EXACT = "exact"
    PRIVATE = "private"


def valid_site_name(name: str) -> bool:
    """Also of stewards. Nobody is called `hub`: in journals and signatures that is the coordinator."""
    return _SITE.fullmatch(name) is not None and name != "hub"


@dataclass(frozen=True, slots=True)
class Participant:
    """One site in a Plan.

    Parameters
    ----------
    identity
        The site's Ed25519 public key, 64 hexadecimal digits.
    dataset, version
        The Dataset the site is asked about.
    commitment
        HMAC over the Dataset's content under a salt only the site knows, 64 hexadecimal digits.
    """

    site: str
    identity: str
    dataset: str
    version: int
    commitment: str

    def __post_init__(self) -> None:
        if not valid_site_name(self.site):
            raise InvalidPlan(f"'{self.site}' cannot name a site.", "Use lower-case letters, digits and hyphens.")
        if not _HEX64.fullmatch(self.identity) or not _HEX64.fullmatch(self.commitment):
            raise InvalidPlan(f"The identity key or commitment of '{self.site}' is not 64 hexadecimal digits.")
        if not self.dataset or self.version < 1:
            raise InvalidPlan(f"The Plan names no Dataset version at '{self.site}'.")


@dataclass(frozen=True, slots=True)
class OutputPolicy:
    """What may come out. A site refuses a Plan whose limits are below its own Policy's.

    Parameters
    ----------
    min_patients
        Patients a site must have in the Cohort, and a group must have in the total, to be counted at all.
    min_sites
        Sites a sum must be over; 1 for what one site alone releases, with all its noise.
    """

    min_patients: int
    min_sites: int

    def __post_init__(self) -> None:
        if self.min_patients < 1 or (self.min_sites < SMALLEST_FEDERATION and self.min_sites != 1):
            raise InvalidPlan(
                f"A Plan needs min_patients of at least 1 and min_sites of at least {SMALLEST_FEDERATION}.",
                "With two sites each would learn the other's sum.",
            )


@dataclass(frozen=True, slots=True)
class PrivacyTarget:
    """The declared cost: (epsilon, delta) for one patient at one site, add or remove, for this Plan's Release.

    Parameters
    ----------
    insiders
        So many sites may know or leave out their own noise, and the cost still holds for all others' patients.
    """

    epsilon: float
    delta: float
    insiders: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.epsilon <= 100 or not 0 < self.delta < 0.01:
            raise InvalidPlan(
                "A private Plan needs 0 < epsilon <= 100 and 0 < delta < 0.01.",
                "Usual are epsilon 1 and delta 1e-6.",
            )


@dataclass(frozen=True, slots=True)
class Plan:
    """One question to named sites about named data, with its purpose, limits and cost.

    Parameters
    ----------
    analysis, parameters
        The built-in analysis and its parameters in canonical form (see `synthema_core.analyses`).
    engine
        Digest over every byte of the engine that computes at a site, and its environment's versions.
    schema
        Digest of the Schema all the Plan's Datasets share.
    layout
        Quantisation: (name, length, bound, fractional bits) of each block.
    privacy
        The declared cost; present exactly for `Mode.PRIVATE`.
    created_at, expires_at
        ISO 8601 moments; nothing starts after the expiry.
    supersedes
        Digest of the Plan this one replaces, or empty.
    cohort
        Who is asked about, and the columns that are derived for it: the analysis sees nothing else.
    """

    analysis: str
    parameters: Mapping[str, Json]
    mode: Mode
    engine: str
    schema: str
    layout: Layout
    participants: tuple[Participant, ...]
    output: OutputPolicy
    requester: str
    purpose: str
    created_at: str
    expires_at: str
    privacy: PrivacyTarget | None = None
    max_runs: int = 1
    supersedes: str = ""
    cohort: Cohort = EVERYONE

    def __post_init__(self) -> None:
        self._check_sites()
        if (self.mode is Mode.PRIVATE) != (self.privacy is not None):
            raise InvalidPlan("A private Plan declares epsilon and delta; an exact one cannot.")
        if not _HEX64.fullmatch(self.engine) or not _HEX64.fullmatch(self.schema):
            raise InvalidPlan("The Plan's engine or schema is not a digest.")
        if not self.requester or not self.purpose.strip():
            raise InvalidPlan("A Plan says who asks and for what purpose.", "Give --purpose 'a sentence'.")
        if moments.read(self.expires_at) <= moments.read(self.created_at):
            raise InvalidPlan("The Plan expires before it is made.")
        if self.max_runs != 1:
            raise InvalidPlan("An approval covers one run.", "Submit the Plan again for another run.")
        if len(canonical(self.to_dict())) > _LARGEST_BYTES:
            raise InvalidPlan(f"The Plan is larger than {_LARGEST_BYTES:,} bytes.")
        self.layout.check_sum_fits(len(self.participants))
        _ = self.terms  # refuses insiders that the sites are too few for

    def _check_sites(self) -> None:
        sites = [participant.site for participant in self.participants]
        if len(set(sites)) != len(sites) or len({p.identity for p in self.participants}) != len(sites):
            raise InvalidPlan("A Plan names each site and each identity key once.")
        if len(sites) < self.output.min_sites:
            raise InvalidPlan(
                f"The Plan names {len(sites)} sites, and its sums must be over at least {self.output.min_sites}.",
                "Ask more sites.",
            )
        if (len(sites) == 1) != (self.output.min_sites == 1) or (len(sites) == 1 and self.mode is Mode.EXACT):
            raise InvalidPlan(
                "Only a private Plan can ask one site alone: there is no sum that would hide it.",
                f"Ask at least {SMALLEST_FEDERATION} sites, or a private analysis of one.",
            )
        if len(sites) > MOST_SITES:
            raise InvalidPlan(f"A Plan names at most {MOST_SITES} sites.", "Ask fewer at a time.")

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(sorted(participant.site for participant in self.participants))

    @property
    def identities(self) -> dict[str, str]:
        return {participant.site: participant.identity for participant in self.participants}

    @property
    def terms(self) -> Terms:
        """How many sites a sum may do without, and how many may be insiders."""
        if self.privacy is None:
            return Terms.for_exact_sum(self.sites)
        return Terms.for_noisy_sum(self.sites, self.output.min_sites, self.privacy.insiders)

    def participant(self, site: str) -> Participant:
        for participant in self.participants:
            if participant.site == site:
                return participant
        raise InvalidPlan(f"The Plan does not name the site '{site}'.")

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of everything."""
        return digest(self.to_dict())

    @property
    def question_digest(self) -> str:
        """SHA-256 over what is asked of whom, leaving out who asks, why and when."""
        return question_digest(self.to_dict())

    def to_dict(self) -> dict[str, Json]:
        return {
            "analysis": self.analysis,
            "parameters": dict(self.parameters),
            "mode": self.mode.value,
            "engine": self.engine,
            "schema": self.schema,
            "layout": self.layout.to_list(),
            "participants": [asdict(p) for p in sorted(self.participants, key=lambda p: p.site)],
            "output": asdict(self.output),
            "privacy": asdict(self.privacy) if self.privacy else None,
            "requester": self.requester,
            "purpose": self.purpose,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "max_runs": self.max_runs,
            "supersedes": self.supersedes,
            "cohort": self.cohort.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The Plan of that JSON. Raises InvalidPlan for unknown, missing or ill-typed parts."""
        known = {field.name for field in fields(cls)}
        if not isinstance(data, Mapping) or set(data) != known:
            raise InvalidPlan("The Plan has unknown or missing parts.", f"It consists of {', '.join(sorted(known))}.")
        try:
            plan = cls(
                **{
                    **data,
                    "mode": Mode(data["mode"]),
                    "layout": Layout.from_list(data["layout"]),
                    "participants": tuple(Participant(**p) for p in data["participants"]),
                    "output": OutputPolicy(**data["output"]),
                    "privacy": PrivacyTarget(**data["privacy"]) if data["privacy"] else None,
                    "cohort": Cohort.from_dict(data["cohort"]),
                }
            )
        except (TypeError, ValueError, KeyError, AttributeError):
            raise InvalidPlan("A part of the Plan has the wrong form.") from None
        if canonical(plan.to_dict()) != canonical(dict(data)):
            raise InvalidPlan("The Plan is not in its canonical form.", "Sort its sites by name.")
        return plan


def question_digest(plan: Mapping[str, Json]) -> str:
    """The question digest of a Plan in its canonical form."""
    return digest({part: value for part, value in plan.items() if part not in _CIRCUMSTANCES})


def describe_change(old: Plan, new: Plan) -> Sequence[tuple[str, Json, Json]]:
    """(part, before, after) of every part in which two Plans differ: what a reviewer is shown."""
    before, after = old.to_dict(), new.to_dict()
    return [(part, before[part], after[part]) for part in before if before[part] != after[part]]
