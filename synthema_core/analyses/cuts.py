"""What private analyses keep of each patient, as it is asked for and as a result tells it."""

from __future__ import annotations

from typing import Any

from scipy.special import ndtri

from synthema_core.analyses.base import Sums
from synthema_core.analyses.options import Options
from synthema_core.canonical import Json
from synthema_core.schemas import Schema
from synthema_core.secure_sum.layout import Block

CUT = "cut"
_FEWER_BITS = 2


def rows_kept(typed: Options, schema: Schema) -> int:
    """--rows-per-patient: all that the schema allows, unless given."""
    return typed.whole("rows-per-patient", schema.rows_per_patient, schema.rows_per_patient)


def cut_block(most_patients: float, fractional_bits: int, largest: int = 1) -> Block:
    """One number: the patients for whom something was cut.

    A patient adds to it at most a quarter of what they add to the rest, so that it costs 3 % more noise at the most,
    and has four to eight times as much itself.

    Parameters
    ----------
    largest
        The rest is at least sqrt(largest) times ``2**fractional_bits`` steps.
    """
    return Block(CUT, 1, most_patients, fractional_bits - _FEWER_BITS + (largest.bit_length() - 1) // 2)


def told(kept: str, sums: Sums, block: Block | None, confidence: float) -> dict[str, Json]:
    """What was kept of each patient, and for about how many of them something was cut.

    Parameters
    ----------
    kept
        A sentence without its full stop.
    block
        None where the schema allows no patient more than is kept.
    """
    if block is None:
        return {"kept": kept, "cut": None, "statement": f"{kept}; nothing was cut."}
    cut = estimate(float(sums.blocks[block.name][0]), sums.deviation(block), confidence)
    about = f"About {cut['shown']:,} (± {cut['reach']:,.0f}) patients had values cut."
    return {"kept": kept, "cut": cut, "statement": f"{kept}. {about}"}


def told_of_one_row(sums: Sums, block: Block | None, confidence: float) -> dict[str, Json]:
    """The same of an analysis by one row of each patient."""
    by = ", by one row" if block else ""
    return told(f"Each patient counts once{by}", sums, block, confidence)


def estimate(count: float, deviation: float, confidence: float) -> dict[str, Any]:
    """A noisy number of patients, with an interval that contains the noise."""
    reach = float(ndtri(0.5 + confidence / 2)) * deviation
    return {
        "count": count,  # may be negative: clamping it would bias every sum made of it
        "shown": max(0, round(count)),
        "lower": count - reach,
        "upper": count + reach,
        "reach": reach,
        "noise_standard_deviation": deviation,
    }
