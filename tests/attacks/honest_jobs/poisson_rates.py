"""Deaths and years of follow-up by ten years of age: what rates are made of."""

from dataclasses import dataclass

import numpy as np

EDGES = np.arange(0, 71, 10)


@dataclass(frozen=True)
class Rates:
    deaths: np.ndarray
    years: np.ndarray


def tabulate(ages, died, days) -> Rates:
    deaths, _ = np.histogram(ages, bins=EDGES, weights=died)
    years, _ = np.histogram(ages, bins=EDGES, weights=days / 365.25)
    return Rates(deaths, years)


def study(rows):
    rates = tabulate(rows["z1"], rows["d3"], rows["t2"])
    return {"deaths": rates.deaths, "years": rates.years}
