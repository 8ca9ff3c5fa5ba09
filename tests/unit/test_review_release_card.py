"""What is signed holds to the last field, and a signature over one kind of statement is none over another."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest

import synthema_core
from support.builders import KEYS, SITES, at, card, plan
from synthema_core.card import Card
from synthema_core.clearance import Clearance
from synthema_core.code.shapes import AGGREGATE, PER_BLOCK, PER_PATIENT, analysis_name
from synthema_core.errors import IntegrityFailure, InvalidInput, InvalidSchema, NotPermitted
from synthema_core.heads import check_countersigned, countersign
from synthema_core.identity import fingerprint, public_key, sign, verify
from synthema_core.journal import Head
from synthema_core.plan import PrivacyTarget
from synthema_core.release import Guarantee, Release, guarantee_of
from synthema_core.review import Review, Verdict, check_not_own_request

Signed: TypeAlias = Review | Clearance | Release | Card
KEY = KEYS["alder"]

REVIEW = Review(
    request="r1",
    plan_digest=plan().digest,
    site="alder",
    steward="maria",
    verdict=Verdict.APPROVED,
    reason="Fine.",
    decided_at=at(),
    expires_at=at(30),
    stewards_needed=2,
    without=("mean_age",),
    answered_by="r0",
).signed(KEY)
CLEARANCE = Clearance(
    request="r1",
    plan_digest=plan().digest,
    site="alder",
    steward="maria",
    output="a1" * 32,
    cleared=True,
    reason="Large enough.",
    decided_at=at(),
    redacted=("deaths[2]", "mean_age"),
    stewards_needed=2,
).signed(KEY)
RELEASE = Release(
    id="rel-1",
    request="r1",
    job="j1",
    plan_digest=plan("histogram").digest,
    question_digest=plan("histogram").question_digest,
    purpose="How many?",
    requester="rosalind",
    result={"kind": "histogram", "cells": [{"label": "Arm A", "count": 20.5}], "column": None},
    guarantee=guarantee_of(plan("histogram"), 7.9, exact_before=False),
    sites=SITES,
    datasets=("trial", "trial", "trial"),
    released_at=at(1),
    seconds=1.5,
    rounds=1,
    quantisation_error=0.0,
    engine="e" * 64,
    missing={"cedar": "could not be reached (round 1)"},
    cumulative={"alder": 1.5, "birch": 0.5},
    reused_from="rel-0",
).signed(KEY)
NOUNS: dict[str, Signed] = {"review": REVIEW, "clearance": CLEARANCE, "release": RELEASE, "card": card("alder")}


def check(noun: Signed) -> None:
    if isinstance(noun, Card):
        noun.check_signature()  # under the key that it names
    else:
        noun.check_signature(public_key(KEY))


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    below = [leaf for key, item in inner for leaf in leaves(item, (*path, key))]
    return below or [path]


def altered(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return "rejected" if value == "approved" else f"{value[:-1]}{'1' if value[-1:] == '0' else '0'}"


def data_of(noun: Signed) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(json.dumps(noun.to_dict()))
    return whole


EVERY_LEAF = [(kind, path) for kind, noun in NOUNS.items() for path in leaves(data_of(noun))]


@pytest.mark.parametrize(("kind", "path"), EVERY_LEAF, ids=str)
def test_an_altered_field_is_refused(kind: str, path: tuple[Any, ...]) -> None:
    data = data_of(NOUNS[kind])
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = altered(place[path[-1]])
    with pytest.raises((IntegrityFailure, InvalidSchema)):
        check(type(NOUNS[kind]).from_dict(data))


@pytest.mark.parametrize("noun", NOUNS.values(), ids=NOUNS)
def test_what_was_signed_holds_after_the_wire_and_under_no_other_key(noun: Signed) -> None:
    again = type(noun).from_dict(data_of(noun))
    assert again == noun
    check(again)
    for forged in (
        noun.signed(KEYS["birch"]),
        *(replace(noun, signature=none) for none in ("", "00", "zz", "00" * 64)),
    ):
        with pytest.raises(IntegrityFailure):
            check(forged)


UNREADABLE: dict[str, list[dict[str, Any]]] = {
    "review": [
        {"verdict": "maybe"},
        {"verdict": "rejected", "reason": ""},
        {"verdict": "rejected", "reason": 3},
        {"reason": None},
        {"steward": 3},
        {"decided_at": "soon"},
        {"expires_at": at(-1)},
        {"stewards_needed": "2"},
        {"stewards_needed": 2.0},
        {"stewards_needed": True},
        {"without": None},
        {"without": [3]},
        {"without": "mean_age"},
    ],
    "clearance": [
        {"cleared": 1},
        {"cleared": False, "reason": ""},
        {"cleared": "yes"},
        {"output": None},
        {"steward": 3},
        {"decided_at": "soon"},
        {"stewards_needed": "2"},
        {"stewards_needed": True},
        {"redacted": None},
        {"redacted": [3]},
    ],
    "release": [{"guarantee": 3}, {"guarantee": {}}, {"result": 3}, {"result": "no"}, {"sites": 3}, {"datasets": None}],
    "card": [{"schema": 3}, {"policy": 3}, {"policy": "no"}, {"version": "1"}, {"version": True}],
}


@pytest.mark.parametrize(
    ("kind", "change"),
    [(kind, change) for kind, own in UNREADABLE.items() for change in [*own, {"extra": 1}, {"signature": 7}]],
)
def test_what_cannot_be_read_is_refused(kind: str, change: dict[str, Any]) -> None:
    """And never breaks the reader: it may come from a hostile hub or site."""
    noun = NOUNS[kind]
    with pytest.raises((IntegrityFailure, InvalidSchema)):
        check(type(noun).from_dict({**data_of(noun), **change}))


@pytest.mark.parametrize(("kind", "part"), [(kind, part) for kind, noun in NOUNS.items() for part in data_of(noun)])
def test_what_lacks_a_part_is_refused(kind: str, part: str) -> None:
    data = data_of(NOUNS[kind])
    del data[part]
    with pytest.raises(IntegrityFailure):
        made = type(NOUNS[kind]).from_dict(data)
        assert part == "signature", "nothing is made up for what was not said"
        check(made)


# Kinds of statement


def domains() -> list[str]:
    sources = [source.read_text() for source in Path(synthema_core.__file__).parent.rglob("*.py")]
    return sorted(domain for source in sources for domain in re.findall(r'^_DOMAIN = "(.+)"$', source, re.MULTILINE))


def test_every_kind_of_statement_has_a_domain_of_its_own() -> None:
    expected = ["card", "clearance", "join", "journal-head", "mask-keys"]
    expected += ["release", "renewal", "review", "site-request", "survivors"]
    assert domains() == expected


@pytest.mark.parametrize("domain", domains())
@pytest.mark.parametrize(("kind", "noun"), NOUNS.items(), ids=NOUNS)
def test_a_signature_of_another_kind_is_refused(kind: str, noun: Signed, domain: str) -> None:
    """The very same statement under the very same key."""
    other = replace(noun, signature=sign(KEY, domain, noun.statement()))
    with nullcontext() if domain == kind else pytest.raises(IntegrityFailure):
        check(other)


def test_a_domain_cannot_be_stretched_into_the_statement() -> None:
    signature = sign(KEY, "card", "x")
    for domain, statement in (("car", 'd\0"x"'), ("card\0", "x"), ("", 'card\0"x"')):
        with pytest.raises(IntegrityFailure):
            verify(public_key(KEY), domain, statement, signature)


def test_a_countersigned_head_is_one_owners() -> None:
    """Both sides sign heads with the same key: the hub's own must not pass for a site's."""
    head = Head(7, "a" * 64)
    signature = countersign(KEY, "alder", head)
    check_countersigned(public_key(KEY), "alder", head, signature)
    for owner, other in (("hub", head), ("alder", Head(8, "a" * 64)), ("alder", Head(7, "b" * 64))):
        with pytest.raises(IntegrityFailure):
            check_countersigned(public_key(KEY), owner, other, signature)


def test_a_failed_check_names_the_key_it_expected() -> None:
    with pytest.raises(IntegrityFailure) as failure:
        check(replace(REVIEW, reason="Changed."))
    assert fingerprint(public_key(KEY)) in failure.value.hint
    assert re.fullmatch(r"([0-9a-f]{4}:){3}[0-9a-f]{4}", fingerprint("any"))
    assert len({fingerprint(public_key(key)) for key in KEYS.values()}) == len(KEYS)


# Reviews


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_rejection_has_a_reason_and_an_approval_needs_none(reason: str) -> None:
    with pytest.raises(InvalidInput, match="needs a reason"):
        replace(REVIEW, verdict=Verdict.REJECTED, reason=reason)
    assert replace(REVIEW, reason=reason).verdict is Verdict.APPROVED


@pytest.mark.parametrize("expires", [at(), at(-1), "never"])
def test_an_approval_ends_after_it_begins(expires: str) -> None:
    with pytest.raises(InvalidInput):
        replace(REVIEW, expires_at=expires)


def test_nobody_reviews_their_own_request() -> None:
    check_not_own_request("maria", "rosalind")
    with pytest.raises(NotPermitted):
        check_not_own_request("rosalind", "rosalind")


def test_a_policys_review_says_so() -> None:
    assert replace(REVIEW, steward=f"policy:{'a' * 64}").by_policy
    assert not REVIEW.by_policy


# Releases


def test_the_digest_is_over_all_but_the_signature() -> None:
    assert replace(RELEASE, signature="").digest == RELEASE.digest
    assert replace(RELEASE, rounds=2).digest != RELEASE.digest


def test_an_exact_release_promises_nothing_formal() -> None:
    for exact_before in (False, True):
        assert guarantee_of(plan(), None, exact_before=exact_before) == Guarantee(
            kind="exact",
            statement="Exact sums over all sites under minimum-patients and minimum-sites rules: no formal guarantee.",
            mechanism="secure sum without noise",
        )


PRIVATE = "Differentially private: epsilon 0.5, delta 1e-07 for one patient at one site, add or remove one patient."
EXACT_BEFORE = "No end-to-end DP guarantee: an exact or steward-released output about these patients came before."


@pytest.mark.parametrize(
    ("exact_before", "statement"),
    [
        (False, PRIVATE),
        (True, f"{PRIVATE} {EXACT_BEFORE}"),
    ],
)
def test_a_private_release_tells_its_cost_and_what_came_before(exact_before: bool, statement: str) -> None:
    asked = plan("histogram", privacy=PrivacyTarget(0.5, 1e-7))
    told = guarantee_of(asked, 12.5, exact_before=exact_before)
    assert (told.kind, told.epsilon, told.delta, told.noise_standard_deviation) == ("private", 0.5, 1e-7, 12.5)
    assert told.statement == statement
    assert (told.unit, told.neighbours) == ("one patient at one site", "add or remove one patient")


@pytest.mark.parametrize("exact_before", [False, True])
def test_what_stewards_release_promises_nothing_formal(exact_before: bool) -> None:
    told = guarantee_of(replace(plan(), analysis=analysis_name(AGGREGATE)), None, exact_before=exact_before)
    assert (told.kind, told.epsilon, told.delta, told.noise_standard_deviation) == ("released", None, None, None)
    assert "decision of each site's stewards" in told.statement and "no formal guarantee" in told.statement


@pytest.mark.parametrize(("shape", "said"), [(PER_PATIENT, "for each patient"), (PER_BLOCK, "for each block")])
def test_code_with_a_guarantee_names_its_shape_its_one_answer_and_what_remains(shape: str, said: str) -> None:
    asked = replace(plan("histogram", privacy=PrivacyTarget(0.5, 1e-7)), analysis=analysis_name(shape))
    told = guarantee_of(asked, 12.5, exact_before=True)
    assert (told.kind, told.epsilon, told.delta) == ("private", 0.5, 1e-7)
    assert told.noise_standard_deviation is None, "it differs by output"
    assert told.statement.startswith(f"{PRIVATE} The code ran {said}")
    for part in ("whatever the code does", "one answer, at a time fixed before", "contention channels", "came before"):
        assert part in told.statement
