"""A site's secrets of one Job: all from one seed, none from another, and none that tells anything of another."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from support.protocol import ALARM, how_uniform, secret
from synthema_core.errors import IntegrityFailure
from synthema_core.secure_sum.keys import JobKeys, agree, commitment_to, derive, keystream, public_half
from synthema_core.secure_sum.masking import add_signed, input_digest, pairwise_mask, self_mask
from synthema_core.secure_sum.session import Moment

KEYS = JobKeys(secret("seed"))

LOW_ORDER = {
    "0": "00" * 32,
    "1": "01" + "00" * 31,
    "order 8": "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "another of order 8": "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "p - 1": "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "p": "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "p + 1": "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}
"""Points with which every secret is zero (Curve25519, https://cr.yp.to/ecdh.html#validate)."""


def test_a_restarted_site_has_the_same_secrets_and_another_seed_has_others() -> None:
    def all_of(keys: JobKeys) -> list[bytes]:
        return [*map(keys.round_secrets, (1, 2)), keys.share_key.private_bytes_raw(), keys.coefficients(64)]

    assert all_of(KEYS) == all_of(JobKeys(secret("seed")))
    assert not set(all_of(KEYS)) & set(all_of(JobKeys(secret("seed", "2"))))


def test_all_secrets_of_a_job_differ() -> None:
    parts = [KEYS.seed, KEYS.share_key.private_bytes_raw(), KEYS.coefficients(32)]
    for index in range(1, 30):
        parts += [KEYS.self_seed(index), KEYS.mask_key(index).private_bytes_raw()]
    assert len(set(parts)) == len(parts)


def test_what_is_shared_of_a_round_is_its_seed_and_then_its_key() -> None:
    secrets = KEYS.round_secrets(3)
    assert (secrets[:32], secrets[32:]) == (KEYS.self_seed(3), KEYS.mask_key(3).private_bytes_raw())


def test_more_coefficients_begin_like_fewer() -> None:
    """So that a site's sharing does not depend on how many Rounds are dealt at a time; and they look uniform."""
    assert KEYS.coefficients(100) == KEYS.coefficients(1000)[:100]
    assert how_uniform(np.frombuffer(KEYS.coefficients(2**15), dtype=np.uint64)) > ALARM


@pytest.mark.parametrize("seed", [b"", b"x" * 31, b"x" * 33], ids=len)
def test_a_seed_that_was_let_go_of_makes_no_keys(seed: bytes) -> None:
    """Keys of an empty seed would be known to everybody."""
    with pytest.raises(IntegrityFailure, match="lost"):
        JobKeys(seed)


def test_a_seed_is_never_shown() -> None:
    assert "seed" not in repr(KEYS) and KEYS.seed.hex() not in repr(KEYS)


def test_two_sites_agree_and_a_third_does_not() -> None:
    keys = [X25519PrivateKey.from_private_bytes(secret("key", str(number))) for number in range(3)]
    found = {pair: agree(keys[pair[0]], public_half(keys[pair[1]])) for pair in [(0, 1), (1, 0), (0, 2), (1, 2)]}
    assert found[0, 1] == found[1, 0] and len(set(found.values())) == 3


@pytest.mark.parametrize("other", [*LOW_ORDER.values(), "", "00", "zz" * 32, "00" * 33], ids=[*LOW_ORDER, *"abcd"])
def test_a_key_with_which_every_secret_is_zero_or_that_is_none_is_refused(other: str) -> None:
    with pytest.raises(IntegrityFailure, match="key that is none"):
        agree(KEYS.share_key, other)


def test_derived_keys_depend_on_every_part_of_their_context() -> None:
    contexts = [{"a": 1, "b": "x"}, {"a": 2, "b": "x"}, {"a": 1, "b": "y"}, {"a": 1}, {"a": "1", "b": "x"}]
    found = [derive(secret("s"), context) for context in contexts]
    assert all(one != other for one, other in combinations(found, 2))
    assert derive(secret("s"), {"b": "x", "a": 1}) == found[0]
    assert derive(secret("other"), contexts[0]) != found[0]


def test_the_stream_is_chacha20s() -> None:
    """RFC 8439, appendix A.1, test vector 1: the all-zero key."""
    assert keystream(bytes(32), 16).hex() == "76b8e0ada0f13d90405d6ae55386bd28"
    assert keystream(secret("seed"), 100)[:7] == keystream(secret("seed"), 7)


def test_a_commitment_is_to_one_seed_and_is_not_a_plain_hash_of_it() -> None:
    assert commitment_to(secret("a")) != commitment_to(secret("b"))
    assert len(commitment_to(secret("a"))) == 64


def test_a_self_mask_comes_off_and_is_the_same_in_no_two_rounds() -> None:
    ring = np.arange(512, dtype=np.uint64)
    masked = ring.copy()
    add_signed(masked, (1, self_mask(KEYS.self_seed(1), 512)))
    assert how_uniform(masked) > ALARM
    assert how_uniform(self_mask(KEYS.self_seed(1), 512) - self_mask(KEYS.self_seed(2), 512)) > ALARM
    add_signed(masked, (-1, self_mask(KEYS.self_seed(1), 512)))
    assert masked.tolist() == ring.tolist()


def test_a_pairs_mask_is_of_its_session_round_input_and_sites() -> None:
    """With one secret: keys are of one Round too, but masks do not rest on that alone."""
    moment = Moment("a" * 64, 1, "b" * 64)
    others = [
        replace(moment, session="c" * 64),
        replace(moment, round_index=2),
        replace(moment, seen="c" * 64),
    ]
    masks = [pairwise_mask(secret("pair"), "alder", "birch", told, 512)[1] for told in (moment, *others)]
    masks.append(pairwise_mask(secret("pair"), "alder", "cedar", moment, 512)[1])
    assert all(how_uniform(one - other) > ALARM for one, other in combinations(masks, 2))


def test_the_two_of_a_pair_add_the_same_mask_with_opposite_signs() -> None:
    moment = Moment("a" * 64, 1, "b" * 64)
    (plus, one), (minus, other) = (
        pairwise_mask(secret("pair"), *pair, moment, 8) for pair in (("alder", "birch"), ("birch", "alder"))
    )
    assert (plus, minus) == (1, -1) and one.tolist() == other.tolist()


def test_the_inputs_digest_is_over_its_values_and_shape() -> None:
    values = np.arange(6.0)
    assert input_digest(values) == input_digest(values.astype(">f8")) == input_digest(np.repeat(values, 2)[::2])
    assert len({input_digest(values), input_digest(values.reshape(2, 3)), input_digest(-values)}) == 3
