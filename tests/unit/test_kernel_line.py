"""What is typed after %fed is read, or refused with the part that cannot be read."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthema_core.errors import InvalidInput
from synthema_kernel.line import Line
from synthema_kernel.question import cost


def test_words_options_and_variable_are_told_apart() -> None:
    line = Line.read('run kaplan-meier --dataset bmt --exact-times --purpose="a b" --step -1 -o km')
    assert (line.verb, line.words, line.variable) == ("run", ("kaplan-meier",), "km")
    assert line.options == {"dataset": "bmt", "exact-times": "", "purpose": "a b", "step": "-1"}


def test_an_empty_line_asks_for_help() -> None:
    assert Line.read("  ").verb == "help"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('run --purpose "open', "open quotation mark"),
        ("run --dataset a --dataset b", "--dataset is given twice"),
        ("run --dataset a --dataset=b", "--dataset is given twice"),
        ("result -x", "'-x' is not an option"),
        ("result -o 1km", "-o takes the name of a variable"),
        ("result -o", "-o takes the name of a variable"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, named: str) -> None:
    with pytest.raises(InvalidInput, match=named) as caught:
        Line.read(text)
    assert caught.value.hint


def test_unknown_options_and_words_are_named() -> None:
    with pytest.raises(InvalidInput, match="no option --colour"):
        Line.read("sites --colour red").allow("shape")
    with pytest.raises(InvalidInput, match="does not understand 'now'"):
        Line.read("status survival now").allow(words=1)


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "1e400", "one"])
def test_a_cost_is_a_number_above_zero(text: str) -> None:
    with pytest.raises(InvalidInput, match="--epsilon takes a number"):
        Line.read(f"run --epsilon={text}").number("epsilon")


@pytest.mark.parametrize("text", ["", "-1", "1.5", "nan", "one"])
def test_insiders_are_a_whole_number_of_sites_none_included(text: str) -> None:
    with pytest.raises(InvalidInput, match="--insiders takes a whole number from 0 on"):
        cost(Line.read(f"run --insiders={text}"))
    assert cost(Line.read("run --insiders 0"))["insiders"] == 0
    assert cost(Line.read("run"))["insiders"] is None


@pytest.mark.parametrize("text", ["-1", "nan", "soon"])
def test_waiting_takes_seconds(text: str) -> None:
    with pytest.raises(InvalidInput, match="--wait takes"):
        Line.read(f"follow --wait={text}").seconds("wait")


def test_waiting_without_a_number_is_long_and_absent_is_none() -> None:
    assert Line.read("follow --wait").seconds("wait") > 86400
    assert Line.read("follow").seconds("wait") == 0.0
    assert Line.read("follow --wait 0").seconds("wait") == 0.0


def test_names_between_commas_are_different() -> None:
    assert Line.read("run --sites 'a, b,c'").names("sites") == ("a", "b", "c")
    for text in ("run --sites a,a", "run --sites ,", "run --sites"):
        with pytest.raises(InvalidInput, match="--sites"):
            Line.read(text).names("sites")


NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True)
VALUES = st.text(min_size=1).filter(lambda text: not text.startswith("-") and text.isprintable())


@given(st.dictionaries(NAMES, VALUES), NAMES)
def test_every_quoted_value_arrives_unchanged(options: dict[str, str], verb: str) -> None:
    text = " ".join([verb, *(f"--{name} {shlex.quote(value)}" for name, value in options.items())])
    assert dict(Line.read(text).options) == options


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert Line.read(text).verb is not None
    except InvalidInput as error:
        assert error.hint
