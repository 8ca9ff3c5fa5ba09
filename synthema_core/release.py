"""A Release: checked output, the only thing that leaves. Signed by the hub; sites journal its digest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core.canonical import Json, digest
from synthema_core.code.shapes import AGGREGATE, PER_BLOCK, PER_PATIENT, shape_of
from synthema_core.errors import IntegrityFailure
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
    """

    kind: str
    statement: str
    mechanism: str
    epsilon: float | None = None
    delta: float | None = None
    noise_standard_deviation: float | None = None
    unit: str = UNIT
    neighbours: str = NEIGHBOURS


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
        mechanism="discrete Gaussian noise, drawn in full at each site, inside the secure sum",
        epsilon=plan.privacy.epsilon,
        delta=plan.privacy.delta,
        noise_standard_deviation=None if shape else noise_standard_deviation,
    )


@dataclass(frozen=True, slots=True)
class Release:
    """A result with its provenance."""

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
            }
            return cls(**whole)
        except (TypeError, ValueError, KeyError):
            raise IntegrityFailure("A Release cannot be read.") from None

    def signed(self, key: Ed25519PrivateKey) -> Release:
        return Release.from_dict({**self.to_dict(), "signature": sign(key, _DOMAIN, self.statement())})

    def check_signature(self, hub_key: str) -> None:
        verify(hub_key, _DOMAIN, self.statement(), self.signature)
