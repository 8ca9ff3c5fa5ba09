"""A Release: checked output, the only thing that leaves. Signed by the hub; sites journal its digest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core.analyses.diffprivlib_model import DIFFPRIVLIB
from synthema_core.canonical import Json, digest
from synthema_core.code.shapes import AGGREGATE, PER_BLOCK, PER_PATIENT, shape_of
from synthema_core.cohort import EVERYONE, Cohort
from synthema_core.errors import IntegrityFailure, InvalidPlan
from synthema_core.identity import sign, verify
from synthema_core.plan import Mode, Plan

_DOMAIN = "release"
UNIT = "one patient at one site"
NEIGHBOURS = "add or remove one patient"
_OF_SHAPE: Mapping[str, str] = {
    PER_PATIENT: "for each patient",
    PER_BLOCK: "for each block of patients",
}


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What protects the patients in a Release, said with it.

    Parameters
    ----------
    kind
        ``exact`` sums; ``released`` by the decision of stewards; ``private``: differentially private.
    epsilon, delta
        Of this Release for one patient at one site; None where there is no formal guarantee.
    noise_standard_deviation
        Of each released number, in its own unit; None for exact sums, and for code, where it differs by output.
    insiders
        So many sites may know or have left out their own noise, and the rest still holds. None for exact sums.
    """

    kind: str
    statement: str
    mechanism: str
    epsilon: float | None = None
    delta: float | None = None
    noise_standard_deviation: float | None = None
    unit: str = UNIT
    neighbours: str = NEIGHBOURS
    insiders: int | None = None


def guarantee_of(plan: Plan, noise_standard_deviation: float | None, *, exact_before: bool) -> Guarantee:
    """The Guarantee a Plan's Release carries.

    Parameters
    ----------
    exact_before
        Whether an exact or steward-released output about any of these patients came before: then no later Release
        can promise an end-to-end guarantee for them.
    """
    shape = shape_of(plan.analysis)
    if shape == AGGREGATE:
        return Guarantee(
            kind="released",
            statement="Released by decision of each site's stewards, who looked at its numbers: no formal guarantee.",
            mechanism="secure sum of staged outputs, without noise",
        )
    if plan.analysis == DIFFPRIVLIB:
        return Guarantee(
            kind="released",
            statement="Released by decision of each site's stewards, who looked at its model: no formal guarantee.",
            mechanism="mean of the sites' models, with what noise diffprivlib adds, by a secure sum of staged outputs",
        )
    if plan.mode is Mode.EXACT or plan.privacy is None:
        return Guarantee(
            kind="exact",
            statement="Exact sums over all sites under minimum-patients and minimum-sites rules: no formal guarantee.",
            mechanism="secure sum without noise",
        )
    statement = (
        f"Differentially private: epsilon {plan.privacy.epsilon:g}, delta {plan.privacy.delta:g} "
        f"for {UNIT}, {NEIGHBOURS}."
    )
    if shape:
        statement += (
            f" The code ran {_OF_SHAPE[shape]} apart: this holds whatever the code does. Every site gave one answer, "
            "at a time fixed before. Cache and contention channels between evaluations remain."
        )
    if exact_before:
        statement += (
            " No end-to-end DP guarantee: an exact or steward-released output about these patients came before."
        )
    return Guarantee(
        kind="private",
        statement=statement,
        mechanism=_mechanism(plan),
        epsilon=plan.privacy.epsilon,
        delta=plan.privacy.delta,
        noise_standard_deviation=None if shape else noise_standard_deviation,
        insiders=plan.terms.insiders,
    )


def _mechanism(plan: Plan) -> str:
    if len(plan.sites) == 1:
        return "discrete Gaussian noise, drawn in full at the one site"
    return "discrete Gaussian noise, a part of it drawn at each site, inside the secure sum"


@dataclass(frozen=True, slots=True)
class Release:
    """A result with its provenance.

    Parameters
    ----------
    sites
        All that the Plan names.
    missing
        Why a site is not in the sum, or not in every Round's: empty where all took part to the end.
    cumulative
        Epsilon that all answers so far have cost a patient of each site, this one included, as the sites say; at the
        delta of their own budgets. Empty for exact sums.
    reused_from
        The Release whose numbers these are, where the same question had been answered before; or empty.
    cohort
        Whom the numbers are about.
    """

    id: str
    request: str
    job: str
    plan_digest: str
    question_digest: str
    purpose: str
    requester: str
    result: Mapping[str, Json]
    guarantee: Guarantee
    sites: tuple[str, ...]
    datasets: tuple[str, ...]
    released_at: str
    seconds: float
    rounds: int
    quantisation_error: float
    engine: str
    missing: Mapping[str, str] = field(default_factory=dict)
    cumulative: Mapping[str, float] = field(default_factory=dict)
    reused_from: str = ""
    cohort: Cohort = EVERYONE
    signature: str = ""

    def statement(self) -> dict[str, Json]:
        return {key: value for key, value in self.to_dict().items() if key != "signature"}

    @property
    def digest(self) -> str:
        return digest(self.statement())

    def to_dict(self) -> dict[str, Json]:
        return {
            **asdict(self),
            "result": dict(self.result),
            "sites": list(self.sites),
            "datasets": list(self.datasets),
            "missing": dict(self.missing),
            "cumulative": dict(self.cumulative),
            "cohort": self.cohort.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        try:
            whole = {
                **data,
                "result": dict(data["result"]),
                "guarantee": Guarantee(**data["guarantee"]),
                "sites": tuple(data["sites"]),
                "datasets": tuple(data["datasets"]),
                "missing": dict(data["missing"]),
                "cumulative": dict(data["cumulative"]),
                "reused_from": data["reused_from"],
                "cohort": Cohort.from_dict(data["cohort"]),
            }
            return cls(**whole)
        except (TypeError, ValueError, KeyError, InvalidPlan):
            raise IntegrityFailure("A Release cannot be read.") from None

    def signed(self, key: Ed25519PrivateKey) -> Release:
        return Release.from_dict({**self.to_dict(), "signature": sign(key, _DOMAIN, self.statement())})

    def check_signature(self, hub_key: str) -> None:
        verify(hub_key, _DOMAIN, self.statement(), self.signature)
