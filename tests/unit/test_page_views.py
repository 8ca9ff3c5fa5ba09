"""What the stewards' page makes of code, of its changes and of the list of requests: nothing hidden, nothing lost."""

from __future__ import annotations

import html
import random
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthema_core.code.source import Code
from synthema_core.request import Request, Status
from synthema_datasite.pages.highlight import highlighted_lines
from synthema_datasite.pages.queue_view import PER_PAGE, Filter, notes_of, queue_of
from synthema_datasite.service.code_reading import spell_seconds
from synthema_datasite.service.comparing import Row, Sign, changes_between, lines_of
from synthema_datasite.service.register import Line

SOURCE = '''"""Two
lines."""
import numpy as np


def f(rows):
    return np.sum(rows["a"] < 3)  # & so on
'''


def text_of(line: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", line))


def shown(line: str) -> str:
    return "".join(c if c.isprintable() or c == "\t" else f"U+{ord(c):04X}" for c in line)


def test_code_is_coloured_a_line_at_a_time() -> None:
    lines = highlighted_lines(SOURCE)
    assert [text_of(line) for line in lines] == SOURCE.splitlines()
    assert lines[0] == '<span class="c">&quot;&quot;&quot;Two</span>', "a text over two lines is closed in each"
    assert '<span class="k">import</span>' in lines[2]
    assert "&lt;" in lines[6]


@given(
    st.text(
        st.characters(exclude_categories=["Cs"]) | st.sampled_from("\r\n\t<>&'\"#=\u2028\u202e\x0b\x0c"), max_size=200
    )
)
def test_every_sign_of_the_code_is_shown_on_its_own_line(source: str) -> None:
    lines = highlighted_lines(source)
    assert [text_of(line) for line in lines] == [shown(line) for line in lines_of(source)]
    assert not re.search(r"<(?!/?span[ >])", "".join(lines)), "no tag but our own"


@pytest.mark.parametrize("sign", ["\u202e", "\u2066", "\u200b", "\u00ad", "\ufeff", "\u2028", "\x1b", "\x0b", "\x00"])
def test_signs_that_do_not_show_are_spelled_out(sign: str) -> None:
    (line,) = highlighted_lines(f"x = 1  # {sign}begin")
    assert f'<span class="odd" title="A sign that does not show">U+{ord(sign):04X}</span>' in line
    assert sign not in line


def test_a_name_with_letters_of_another_alphabet_is_marked() -> None:
    latin, cyrillic = highlighted_lines("age = 1\n\u0430ge = 2\n")
    assert "odd" not in latin
    assert 'class="odd" title="Not only letters of the Latin alphabet"' in cyrillic


CODES = st.lists(st.sampled_from(["a = 1", "b = 2", "", "def f(r):", "    return 1", "# c"]), max_size=40)


@given(CODES, CODES)
def test_the_changes_give_both_versions_back(old: list[str], new: list[str]) -> None:
    rows = changed("\n".join([*old, ""]), "\n".join([*new, ""]))
    assert [row.text for row in rows if row.sign is not Sign.ADDED] == old
    assert [row.text for row in rows if row.sign is not Sign.REMOVED] == new
    assert [row.before for row in rows if row.before] == list(range(1, len(old) + 1))
    assert [row.after for row in rows if row.after] == list(range(1, len(new) + 1))


def changed(old: str, new: str) -> list[Row]:
    (file,) = changes_between({"study.py": old}, {"study.py": new})
    return [row for stretch in file.stretches for row in stretch.rows]


def test_a_line_that_did_not_change_is_folded_away_only_far_from_a_change() -> None:
    old = [f"x{number} = {number}" for number in range(40)]
    new = [*old[:20], "y = 1", *old[20:]]
    (file,) = changes_between({"study.py": "\n".join(old)}, {"study.py": "\n".join(new)})
    assert [(stretch.folded, len(stretch.rows)) for stretch in file.stretches] == [(True, 17), (False, 7), (True, 17)]
    assert (file.count("added"), file.count("removed")) == (1, 0)


def test_a_line_with_other_white_space_is_a_changed_line() -> None:
    rows = changed("if x:\n    y()\nz()\n", "if x:\n    y()\n    z()\n")
    assert [(row.sign.value, row.text) for row in rows[-2:]] == [("removed", "z()"), ("added", "    z()")]


@pytest.mark.timeout(30)
def test_very_long_code_is_compared_without_matching_each_line() -> None:
    """It is the researcher's: one that takes minutes to compare would take the page away."""
    dice = random.Random(1)
    old, new = ([f"x{dice.randrange(130)}" for _ in range(80_000)] for _ in range(2))
    rows = changed("\n".join(["same", *old]), "\n".join(["same", *new]))
    assert rows[0].sign is Sign.SAME
    assert [row.text for row in rows if row.sign is not Sign.ADDED] == ["same", *old]


def test_files_that_came_and_went_are_shown() -> None:
    before = Code({"study.py": "def f(r): pass\n", "old.py": "x = 1\n"}, "f")
    after = Code({"study.py": "def f(r): pass\n", "new.py": "x = 1\n"}, "f")
    counts = [
        (file.path, file.count("added"), file.count("removed")) for file in changes_between(before.files, after.files)
    ]
    assert counts == [("study.py", 0, 0), ("new.py", 1, 0), ("old.py", 0, 1)]


def line(identifier: str, status: Status = Status.UNDER_REVIEW, **changes: object) -> Line:
    request = Request(identifier, "rosalind", frozenset({"alder"}), "2027-01-01T00:00:00Z", status)
    made = Line(request, "km", "Why?", "cox", True, "trial", "p", "q", "", "2026-03-02T09:00Z", "2026-03-02T09:00Z")
    return replace(made, **changes)  # type: ignore[arg-type]


def ids(lines: list[Line], wanted: Filter | None = None, page: int = 1) -> dict[str, list[str]]:
    queue = queue_of(lines, wanted or Filter(), page)
    return {part.key: [one.id for one in part.lines] for part in queue.parts}


def test_what_waits_comes_first_and_the_newest_of_it() -> None:
    lines = [line("a", Status.RELEASED), line("b"), line("c", Status.STAGED), line("d"), line("e", Status.REJECTED)]
    assert ids(lines) == {"plans": ["d", "b"], "releases": ["c"], "decided": ["e", "a"]}


@pytest.mark.parametrize("page", [-5, 0, 1, 2, 3, 4, 900])
def test_the_pages_run_through_everything_once(page: int) -> None:
    lines = [line(f"w{number}") for number in range(60)] + [line(f"d{number}", Status.FAILED) for number in range(75)]
    queue = queue_of(lines, Filter(), page)
    assert queue.pages == 3
    assert 1 <= queue.page <= 3
    assert [part.count for part in queue.parts] == [60, 0, 75]
    everything = [
        one.id for number in (1, 2, 3) for part in queue_of(lines, Filter(), number).parts for one in part.lines
    ]
    assert len(everything) == len(set(everything)) == 135
    assert sum(len(part.lines) for part in queue.parts) == (PER_PAGE if queue.page < 3 else 35)


FILTERS = {
    "status": (Filter(status="staged"), ["b"]),
    "nobody": (Filter(who="otto"), []),
    "person": (Filter(who=" ROSA "), ["c", "b", "a"]),
    "purpose": (Filter(text="why"), ["c", "b", "a"]),
    "dataset": (Filter(text="tri"), ["c", "b", "a"]),
    "name": (Filter(text="special"), ["c"]),
    "unknown status": (Filter(status="<b>"), []),
    "both": (Filter(status="staged", text="special"), []),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters(name: str) -> None:
    wanted, expected = FILTERS[name]
    lines = [line("a"), line("b", Status.STAGED), line("c", Status.FAILED, name="special")]
    assert sorted(one for found in ids(lines, wanted).values() for one in found) == sorted(expected)
    assert wanted.is_set


def test_the_address_of_a_page_keeps_the_filter() -> None:
    assert Filter().address(1) == "/"
    assert Filter(who="a&b", text="<x>").address(2) == "/?who=a%26b&text=%3Cx%3E&page=2"


def test_notes_say_what_is_new_who_agreed_and_whose_turn_it_is() -> None:
    agreed = replace(line("a").request, approved_by={"alder": frozenset({"maria", "otto"})})
    waiting = line("a", request=agreed, stewards_needed=3, asked=2, answered=1, changed_at="2026-03-03T09:00Z")
    assert notes_of(waiting, "maria", "alder", "2026-03-02T10:00Z") == {
        "new": "new",
        "agreed": "you, otto said yes; 1 more needed",
        "asked": "question open",
    }
    assert notes_of(replace(waiting, answered=2), "nina", "alder", "2026-03-04T09:00Z") == {
        "agreed": "maria, otto said yes; 1 more needed",
        "asked": "answered",
    }
    assert notes_of(line("b"), "maria", "alder", "") == {}, "at the first login everything would be new"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.25, "0.25 s"), (16.25, "16 s"), (60, "1 min"), (155, "2 min 35 s"), (3600, "1 h"), (5400, "1 h 30 min")],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert spell_seconds(seconds) == words
