"""The numbers a sum rests on, for every size of a federation."""

from __future__ import annotations

import pytest

from synthema_core.errors import InvalidPlan
from synthema_core.secure_sum import Terms
from synthema_core.secure_sum.terms import MOST_SITES, SMALLEST_FEDERATION


def named(count: int) -> tuple[str, ...]:
    return tuple(f"site-{number:03d}" for number in range(count))


def terms(count: int, min_sites: int = 3, insiders: int = 0) -> Terms:
    return Terms.for_noisy_sum(named(count), min_sites, insiders)


# sites: threshold t, least m, most insiders c, sites that may be missing
TABLE = {
    3: (3, 3, 1, 0),
    4: (3, 3, 1, 1),
    5: (4, 4, 2, 1),
    6: (5, 5, 3, 1),
    7: (5, 5, 2, 2),
    8: (6, 6, 3, 2),
    9: (7, 7, 4, 2),
    10: (7, 7, 3, 3),
    20: (14, 14, 7, 6),
    30: (21, 21, 11, 9),
    100: (67, 67, 33, 33),
}


@pytest.mark.parametrize(("count", "row"), TABLE.items(), ids=lambda value: str(value))
def test_the_table(count: int, row: tuple[int, int, int, int]) -> None:
    found = terms(count)
    assert (found.threshold, found.least, found.most_insiders, count - found.least) == row


@pytest.mark.parametrize("min_sites", [3, 4, 7, 100])
def test_the_formulas_hold_for_every_size(min_sites: int) -> None:
    """DESIGN: t = floor(2K/3) + 1, m = max(t, min_sites, 3), c <= min(2t - K - 1, m - 2)."""
    for count in range(max(SMALLEST_FEDERATION, min_sites), MOST_SITES + 1):
        found = terms(count, min_sites)
        t, m, c = found.threshold, found.least, found.most_insiders
        assert t == int(2 * count / 3 + 1e-9) + 1 and m == max(t, min_sites, 3)
        assert c == min(2 * t - count - 1, m - 2) >= 1
        assert 3 <= t <= m <= count
        assert found.recovers == (m < count)
        assert 2 * (t - c) > count - c, "two groups of honest sites, with the insiders, are never both enough"
        assert m - c >= 2, "nobody is left alone"
        assert len({found.point(site) for site in found.sites}) == count and max(map(found.point, found.sites)) <= 255


@pytest.mark.parametrize("count", range(3, 20))
def test_so_many_insiders_are_allowed_and_no_more(count: int) -> None:
    most = terms(count).most_insiders
    assert terms(count, insiders=most).contributors == terms(count).least - most
    for insiders in (most + 1, -1):
        with pytest.raises(InvalidPlan, match=f"0 to {most} insiders"):
            terms(count, insiders=insiders)


def test_three_sites_do_without_none_and_four_without_one() -> None:
    assert not terms(3).recovers
    assert terms(4).recovers and terms(4).least == 3
    assert not terms(4, min_sites=4).recovers


@pytest.mark.parametrize("count", [3, 4, 10])
def test_an_exact_sum_does_without_nobody(count: int) -> None:
    found = Terms.for_exact_sum(named(count))
    assert (found.threshold, found.least, found.recovers, found.contributors) == (count, count, False, count)


def test_a_single_site_has_all_the_noise_and_no_insider() -> None:
    found = Terms.for_noisy_sum(("alone",), 1, 0)
    assert (found.threshold, found.least, found.recovers, found.contributors) == (1, 1, False, 1)
    with pytest.raises(InvalidPlan, match="nobody's insider"):
        Terms.for_noisy_sum(("alone",), 1, 1)


def test_points_are_the_plans_and_do_not_move_with_who_is_there() -> None:
    assert [terms(4).point(site) for site in named(4)] == [1, 2, 3, 4]
