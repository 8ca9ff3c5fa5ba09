"""Any t shares give the secret, and t - 1 give nothing: for small cases by counting all there is."""

from __future__ import annotations

import secrets
from collections import Counter
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from support.protocol import ALARM, secret
from synthema_core.errors import IntegrityFailure
from synthema_core.secure_sum.keys import keystream
from synthema_core.secure_sum.shamir import MOST_POINTS, join, split


def shared(what: bytes, threshold: int, points: list[int], word: str = "") -> dict[int, bytes]:
    return split(what, threshold, points, keystream(secret("shamir", word), (threshold - 1) * len(what)))


@given(st.binary(min_size=1, max_size=40), st.integers(1, 8), st.data())
def test_any_threshold_of_shares_give_the_secret(what: bytes, threshold: int, data: st.DataObject) -> None:
    points = data.draw(st.lists(st.integers(1, MOST_POINTS), min_size=threshold, max_size=12, unique=True))
    randomness = data.draw(st.binary(min_size=(threshold - 1) * len(what), max_size=(threshold - 1) * len(what)))
    shares = split(what, threshold, points, randomness)
    chosen = data.draw(st.permutations(points))[:threshold]
    assert join({point: shares[point] for point in chosen}) == what


@pytest.mark.parametrize(("threshold", "count"), [(1, 1), (2, 3), (3, 4), (4, 5), (5, 7)])
def test_every_choice_of_enough_shares_gives_the_secret(threshold: int, count: int) -> None:
    what = secret("what")
    shares = shared(what, threshold, list(range(1, count + 1)))
    for size in range(threshold, count + 1):
        for chosen in combinations(shares, size):
            assert join({point: shares[point] for point in chosen}) == what


def test_the_field_is_that_of_aes() -> None:
    """With two points, the share is the secret plus coefficient times point: FIPS 197 has these products."""
    for coefficient, point, times in ((0x57, 0x83, 0xC1), (0x57, 0x13, 0xFE), (0x57, 0x02, 0xAE), (0x53, 0xCA, 0x01)):
        (share,) = split(b"\0", 2, [point, 1], bytes([coefficient]))[point]
        assert share == times


@pytest.mark.parametrize("points", [(1,), (7,), (255,)], ids=str)
def test_one_share_of_two_takes_every_value_once_whatever_the_secret(points: tuple[int, ...]) -> None:
    """All coefficients, all secrets: exactly uniform, and so independent of the secret."""
    for what in range(256):
        shares = [split(bytes([what]), 2, [*points, 100], bytes([coefficient])) for coefficient in range(256)]
        assert {share[points[0]] for share in shares} == {bytes([value]) for value in range(256)}


@pytest.mark.parametrize("points", [(1, 2), (1, 255), (16, 17)], ids=str)
@pytest.mark.parametrize("what", [0, 1, 0xA7])
def test_two_shares_of_three_take_every_pair_of_values_once(points: tuple[int, int], what: int) -> None:
    """Counted over all 65,536 pairs of coefficients at a time."""
    pairs = np.array(list(product(range(256), repeat=2)), dtype=np.uint8)
    randomness = pairs[:, 0].tobytes() + pairs[:, 1].tobytes()
    shares = split(bytes([what]) * len(pairs), 3, [*points, 200], randomness)
    seen = {*zip(shares[points[0]], shares[points[1]], strict=True)}
    assert len(seen) == 256**2


def test_four_shares_of_five_look_uniform_together_for_two_secrets() -> None:
    """Chi-square over their exclusive or with each other; and no share tells the two secrets apart."""
    length, counts = 2**16, Counter[bool]()
    for value in (0x00, 0xFF):
        shares = shared(bytes([value]) * length, 5, [1, 2, 3, 4, 5], str(value))
        rows = [np.frombuffer(shares[point], dtype=np.uint8) for point in (1, 2, 3, 4)]
        for size in (1, 2, 3, 4):
            for chosen in combinations(rows, size):
                mixed = np.bitwise_xor.reduce(np.array(chosen), axis=0)
                counts[chisquare(np.bincount(mixed, minlength=256)).pvalue > ALARM] += 1
    assert counts == {True: 30}


def test_too_few_shares_give_something_else() -> None:
    what = secret("what")
    shares = shared(what, 3, [1, 2, 3, 4])
    assert all(join({point: shares[point] for point in chosen}) != what for chosen in combinations(shares, 2))


def test_a_wrong_share_gives_a_wrong_secret() -> None:
    what = secret("what")
    shares = shared(what, 3, [1, 2, 4])
    for point in shares:
        wrong = bytes([shares[point][0] ^ 1]) + shares[point][1:]
        assert join({**shares, point: wrong}) != what
    assert join({1: shares[2], 2: shares[1], 4: shares[4]}) != what, "exchanged"


@pytest.mark.parametrize("points", [[], [1, 1], [0, 1], [1, 256], [-1, 2]], ids=str)
def test_points_are_different_and_none_is_that_of_the_secret(points: list[int]) -> None:
    with pytest.raises(IntegrityFailure, match="different points"):
        split(b"a", 1, points, b"")
    if len(set(points)) == len(points):
        with pytest.raises(IntegrityFailure, match="different points"):
            join(dict.fromkeys(points, b"a"))


def test_shares_of_one_secret_have_one_length() -> None:
    with pytest.raises(IntegrityFailure, match="differ in length"):
        join({1: b"a", 2: b"ab"})


@pytest.mark.parametrize(
    ("threshold", "randomness"), [(0, b""), (3, bytes(8)), (2, bytes(3)), (2, bytes(5)), (2, b"")], ids=str
)
def test_a_sharing_that_makes_no_sense_is_a_mistake(threshold: int, randomness: bytes) -> None:
    with pytest.raises(ValueError, match="threshold"):
        split(b"four", threshold, [1, 2], randomness)


def test_a_hundred_sites_of_twenty_rounds_are_dealt_in_blocks() -> None:
    what = secrets.token_bytes(64 * 20)
    shares = split(what, 67, list(range(1, 101)), secrets.token_bytes(66 * len(what)))
    assert join({point: shares[point] for point in range(34, 101)}) == what
