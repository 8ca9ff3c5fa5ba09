"""Parts of an output by name: what is named is what is left out, and no more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthema_core.code.outputs import Output, Outputs
from synthema_core.code.references import check, redacted, selected
from synthema_core.errors import InvalidInput, NotFound

OUTPUTS = Outputs((Output("n", (), 9.0), Output("deaths", (3,), 9.0), Output("table", (2, 2), 9.0)))
#: n, deaths[0..2], table[0,0], table[0,1], table[1,0], table[1,1]


@pytest.mark.parametrize(
    ("references", "places"),
    [
        ((), []),
        (("n",), [0]),
        (("deaths",), [1, 2, 3]),
        (("deaths[0]",), [1]),
        (("deaths[2]", "deaths[0]"), [1, 3]),
        (("table[1,0]",), [6]),
        (("table",), [4, 5, 6, 7]),
        (("table[1,1]", "n", "deaths", "deaths[1]"), [0, 1, 2, 3, 7]),
    ],
)
def test_a_reference_selects_its_values(references: tuple[str, ...], places: list[int]) -> None:
    chosen = selected(references, OUTPUTS)
    assert [place for place, one in enumerate(chosen) if one] == places
    assert chosen.shape == (8,)


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        ("", InvalidInput),
        ("deaths[", InvalidInput),
        ("deaths[]", InvalidInput),
        ("deaths[-1]", InvalidInput),
        ("deaths[1", InvalidInput),
        ("deaths[1]]", InvalidInput),
        ("deaths[1.0]", InvalidInput),
        ("deaths[1:2]", InvalidInput),
        ("deaths[1, 2]", InvalidInput),
        ("deaths [1]", InvalidInput),
        ("deaths[1]\n", InvalidInput),
        ("deaths[\u0662]", InvalidInput),
        ("deaths[1],n", InvalidInput),
        ("deaths[9999999]", InvalidInput),
        ("<script>", InvalidInput),
        ("Deaths", NotFound),
        ("rows", NotFound),
        ("deaths[3]", NotFound),
        ("deaths[0,0]", NotFound),
        ("table[0]", NotFound),
        ("table[0,2]", NotFound),
        ("table[2,0]", NotFound),
        ("n[0]", NotFound),
    ],
)
def test_what_names_no_part_is_refused(reference: str, error: type[Exception]) -> None:
    for references in ((reference,), ("n", reference)):
        with pytest.raises(error):
            selected(references, OUTPUTS)


def test_checked_references_come_once_in_order_and_without_space() -> None:
    assert check([" table[1,0] ", "n", "table[1,0]", "n"], OUTPUTS) == ("table[1,0]", "n")
    assert check([], OUTPUTS) == ()
    with pytest.raises(NotFound):
        check(["n", "m"], OUTPUTS)


@given(st.text(max_size=20))
def test_whatever_is_typed_is_a_reference_or_refused(text: str) -> None:
    try:
        chosen = selected([text], OUTPUTS)
    except (InvalidInput, NotFound):
        return
    assert chosen.any()


RESULT: dict[str, Any] = {
    "kind": "code-aggregate",
    "sites": 3,
    "outputs": [
        {"name": "n", "values": [7.0], "content": "counts"},
        {"name": "deaths", "values": [1.0, 2.0, 3.0]},
        {"name": "table", "values": [10.0, 11.0, 12.0, 13.0]},
    ],
}


def test_a_redacted_result_has_no_number_where_a_site_gave_none() -> None:
    shown = redacted(RESULT, ["deaths[1]", "table"], OUTPUTS)
    outputs: Any = shown["outputs"]
    assert [output["values"] for output in outputs] == [[7.0], [1.0, None, 3.0], [None] * 4]
    assert shown["left_out"] == ["deaths[1]", "table"]
    assert (shown["kind"], shown["sites"], outputs[0]["content"]) == ("code-aggregate", 3, "counts")
    assert RESULT["outputs"][1]["values"] == [1.0, 2.0, 3.0], "the argument is left alone"


def test_without_references_nothing_is_left_out() -> None:
    assert redacted(RESULT, [], OUTPUTS) == {**RESULT, "left_out": []}
