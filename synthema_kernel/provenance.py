"""What a Release says of itself: what protects the patients, which sites its sums are over, where it comes from."""

from __future__ import annotations

from collections.abc import Iterator

from synthema_core.release import Release
from synthema_kernel.markup import Table, moment, short


def protection(release: Release, *, noise_differs: bool) -> Table:
    """Unit, cost of this Release and of all so far, mechanism and its noise.

    Parameters
    ----------
    noise_differs
        Of code each output has its own noise, which its own table shows.
    """
    guarantee = release.guarantee
    deviation = None if noise_differs else guarantee.noise_standard_deviation
    rows = [
        ("Guarantee", guarantee.statement),
        ("Mechanism", guarantee.mechanism),
        *([("Noise", f"standard deviation {deviation:.4g} in each released number")] if deviation else []),
        *_bounds(release),
        *([("This release", _cost(release))] if guarantee.epsilon is not None else []),
        *([("Spent so far", spent_so_far(release))] if release.cumulative else []),
        *([("Insiders", _insiders(guarantee.insiders))] if guarantee.insiders is not None else []),
        ("Sum over", sum_over(release)),
    ]
    return Table(("Protection", ""), rows)


def _bounds(release: Release) -> list[tuple[str, str]]:
    """What was kept of each patient, and for about how many of them something was cut."""
    bounding = release.result.get("bounding")
    return [("Bounds", str(bounding["statement"]))] if isinstance(bounding, dict) else []


def provenance(release: Release) -> Table:
    """Who asked what of whom, when, and under which digests."""
    rows = [
        ("Purpose", release.purpose),
        ("Asked by", release.requester),
        ("Sites", ", ".join(release.sites)),
        ("Datasets", ", ".join(release.datasets)),
        *(("Patients", who) for who in about(release)),
        ("Released", moment(release.released_at)),
        *(
            [("Stored answer", f"of release {release.reused_from}: nothing ran for this one")]
            * bool(release.reused_from)
        ),
        ("Job", f"{release.rounds} round{'' if release.rounds == 1 else 's'} in {release.seconds:g} seconds"),
        ("Rounding", f"fixed point, largest error of a sum {release.quantisation_error:.1e}"),
        ("Plan", release.plan_digest),
        ("Release", release.id),
    ]
    return Table(("Provenance", ""), rows)


def answered_already(release: Release) -> str:
    """What ``%fed run`` says above an answer that its author has had before."""
    return (
        f"You have the answer already, released {moment(release.released_at)}: it is shown at no new cost, "
        "and nothing was submitted. --again asks anew."
    )


def lines(release: Release) -> list[str]:
    """The small print under a picture that travels alone."""
    return [
        *about(release),
        release.guarantee.statement,
        f"Sum over {sum_over(release)}. Plan {short(release.plan_digest)}, released {moment(release.released_at)}.",
    ]


def about(release: Release) -> list[str]:
    """Whom the numbers are about, and the columns that were derived, as they were asked for; nothing for all."""
    derived = [f"{one.name} = {one.text}" for one in release.cohort.derived]
    where = [f"Patients for whom {release.cohort.where}."] if release.cohort.where else []
    return [*where, *([f"Derived: {'; '.join(derived)}."] if derived else [])]


def sum_over(release: Release) -> str:
    """Which sites the sums are over; of one that is missing, why: in a Job of several Rounds it may be in the first."""
    present = [site for site in release.sites if site not in release.missing]
    if not release.missing:
        return _named(present, len(release.sites))
    part = "some or all rounds" if release.rounds > 1 else "the sum"
    return "; ".join([_named(present, len(release.sites)), *(f"not in {part}: {why}" for why in _missing(release))])


def spent_so_far(release: Release) -> str:
    """Epsilon of all answers about one patient of each site, this one included."""
    spent = ", ".join(f"{site} {epsilon:.3g}" for site, epsilon in sorted(release.cumulative.items()))
    return f"epsilon, all answers so far with this one, for a patient of {spent}"


def _cost(release: Release) -> str:
    guarantee = release.guarantee
    return f"epsilon {guarantee.epsilon:g}, delta {guarantee.delta:g} for {guarantee.unit}; {guarantee.neighbours}"


def _insiders(most: int) -> str:
    if most == 0:
        return "none: the cost holds while every site adds its noise and keeps it to itself"
    sites = "1 site" if most == 1 else f"{most} sites"
    return f"the cost holds for all other sites' patients, although {sites} may know or leave out their own noise"


def _named(sites: list[str], asked: int) -> str:
    names = ", ".join(sites)
    return f"all {asked} sites: {names}" if len(sites) == asked else f"{len(sites)} of {asked} sites: {names}"


def _missing(release: Release) -> Iterator[str]:
    return (f"{site} ({why.rstrip('.')})" for site, why in sorted(release.missing.items()))
