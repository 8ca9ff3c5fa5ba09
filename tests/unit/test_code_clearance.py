"""A release decision holds to its last field, over exactly one output; and what is said of a failure is its kind."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.builders import KEYS, at
from synthema_core.clearance import Clearance
from synthema_core.code.failures import RunFailure
from synthema_core.commitment import block_key, commitment, output_commitment
from synthema_core.errors import IntegrityFailure, InvalidInput, RoundFailed, from_wire
from synthema_core.identity import public_key, sign
from synthema_core.review import Review, Verdict

KEY = KEYS["alder"]
CLEARANCE = Clearance(
    request="r1",
    plan_digest="d" * 64,
    site="alder",
    steward="maria",
    output="c" * 64,
    cleared=True,
    reason="",
    decided_at=at(),
    redacted=("deaths[2]", "table"),
    stewards_needed=2,
).signed(KEY)


def read_back(clearance: Clearance) -> Clearance:
    return Clearance.from_dict(json.loads(json.dumps(clearance.to_dict())))


def test_a_clearance_reads_back_with_its_signature() -> None:
    again = read_back(CLEARANCE)
    assert again == CLEARANCE
    again.check_signature(public_key(KEY))


CHANGES: dict[str, Any] = {
    "request": "r2",
    "plan_digest": "e" * 64,
    "site": "birch",
    "steward": "eve",
    "output": "0" * 64,
    "cleared": False,
    "reason": "Fine.",
    "decided_at": at(1),
    "redacted": ("deaths[2]",),
    "stewards_needed": 1,
}


def test_every_field_is_among_the_changes() -> None:
    assert {*CHANGES, "signature"} == CLEARANCE.to_dict().keys()


@pytest.mark.parametrize("field", CHANGES)
def test_an_altered_clearance_is_refused(field: str) -> None:
    reason = {"reason": "No."} if field == "cleared" else {}
    altered = replace(CLEARANCE, **{**reason, field: CHANGES[field]})
    with pytest.raises(IntegrityFailure):
        altered.check_signature(public_key(KEY))


@pytest.mark.parametrize("redacted", [(), ("table",), ("table", "deaths[2]"), ("deaths[2]", "table", "n")])
def test_nor_may_what_is_left_out_be_altered(redacted: tuple[str, ...]) -> None:
    with pytest.raises(IntegrityFailure):
        replace(CLEARANCE, redacted=redacted).check_signature(public_key(KEY))


@pytest.mark.parametrize("key", ["birch", "douglas"])
def test_another_key_signs_another_clearance(key: str) -> None:
    with pytest.raises(IntegrityFailure):
        CLEARANCE.signed(KEYS[key]).check_signature(public_key(KEY))
    with pytest.raises(IntegrityFailure):
        CLEARANCE.check_signature(public_key(KEYS[key]))


@pytest.mark.parametrize("key", ["", "00", "zz" * 32])
def test_no_key_is_no_signature(key: str) -> None:
    with pytest.raises(IntegrityFailure):
        CLEARANCE.check_signature(key)


def test_a_signature_over_a_review_clears_nothing() -> None:
    """Signed by the same person, over the same words."""
    as_review = replace(CLEARANCE, signature=sign(KEY, "review", CLEARANCE.statement()))
    with pytest.raises(IntegrityFailure):
        as_review.check_signature(public_key(KEY))
    review = Review("r1", "d" * 64, "alder", "maria", Verdict.APPROVED, "", at(), at(9)).signed(KEY)
    with pytest.raises(IntegrityFailure):
        replace(CLEARANCE, signature=review.signature).check_signature(public_key(KEY))


def test_to_withhold_takes_a_reason() -> None:
    with pytest.raises(InvalidInput, match="reason"):
        replace(CLEARANCE, cleared=False, reason=" ")


@pytest.mark.parametrize(
    "change",
    [
        {"request": None},
        {"output": 3},
        {"cleared": 1},
        {"cleared": "true"},
        {"cleared": None},
        {"cleared": False},
        {"stewards_needed": "2"},
        {"stewards_needed": True},
        {"stewards_needed": 2.0},
        {"stewards_needed": None},
        {"redacted": None},
        {"redacted": [1]},
        {"redacted": [None, "n"]},
        {"redacted": 3},
        {"decided_at": "yesterday"},
        {"decided_at": None},
        {"reason": None},
        {"signature": b""},
        {"more": 1},
    ],
    ids=str,
)
def test_what_is_no_clearance_cannot_be_read(change: dict[str, Any]) -> None:
    with pytest.raises(IntegrityFailure, match="cannot be read"):
        Clearance.from_dict({**CLEARANCE.to_dict(), **change})


@pytest.mark.parametrize("field", [name for name in CHANGES if name != "stewards_needed"])
def test_no_part_of_it_may_be_missing(field: str) -> None:
    with pytest.raises(IntegrityFailure):
        Clearance.from_dict({key: value for key, value in CLEARANCE.to_dict().items() if key != field})


@given(st.dictionaries(st.sampled_from([*CHANGES, "x"]), st.none() | st.booleans() | st.integers() | st.text()))
def test_whatever_is_read_as_a_clearance_breaks_nothing(data: dict[str, Any]) -> None:
    with pytest.raises(IntegrityFailure):
        Clearance.from_dict(data)


# Commitments

SALT, OTHER = b"s" * 32, b"t" * 32


def test_a_commitment_to_an_output_is_to_the_numbers_the_plan_and_the_sites_salt() -> None:
    made = output_commitment(SALT, "a" * 64, "d" * 64)
    assert made == output_commitment(SALT, "a" * 64, "d" * 64)
    others = {
        output_commitment(OTHER, "a" * 64, "d" * 64),
        output_commitment(SALT, "b" * 64, "d" * 64),
        output_commitment(SALT, "a" * 64, "e" * 64),
        commitment(SALT, "a" * 64, "d" * 64),
    }
    assert made not in others
    assert len(others) == 4
    assert len(made) == 64


def test_the_key_of_the_blocks_is_the_sites_own_and_not_its_salt() -> None:
    assert block_key(SALT) == block_key(SALT) != block_key(OTHER)
    assert block_key(SALT) != SALT
    assert len(block_key(SALT)) == 32


# Failures


@pytest.mark.parametrize("kind", RunFailure)
def test_of_a_failure_the_kind_is_told_and_nothing_else(kind: RunFailure) -> None:
    told = kind.told("alder")
    error = from_wire(told)
    assert isinstance(error, RoundFailed)
    assert error.message == f"At 'alder' {kind.sentence}; nothing was released."
    assert kind.told("alder") == told
    assert told.keys() == {"error", "message", "hint"}


def test_kinds_of_failures_have_different_sentences() -> None:
    assert len({kind.sentence for kind in RunFailure}) == len(RunFailure)
