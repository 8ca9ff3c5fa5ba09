"""A Table 1 reads as in a paper, its picture is one, and its frame is tidy."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pandas as pd
import pytest

from support.federation import answer
from synthema_kernel.figures import summary as figure
from synthema_kernel.tables import summary as table


def result(**typed):
    return answer("summary", {name.replace("_", "-"): value for name, value in typed.items()})


def of(values):
    first, notes = table.tables(values)
    return list(first.columns), [list(row) for row in first.rows], [row[0] for row in notes.rows]


def test_a_row_a_variable_and_a_column_a_group():
    values = result(by="arm")
    columns, rows, notes = of(values)
    patients = [group["patients"] for group in values["groups"]]
    assert columns == [
        "Variable",
        "Overall (n = 240)",
        *(f"Arm {a} (n = {n})" for a, n in zip("AB", patients, strict=True)),
        "p",
        "SMD",
    ]
    assert [row[0].strip() for row in rows] == [
        "days (days), mean (SD)", "median [Q1, Q3]", "died, n (%)", "age (years), mean (SD)", "median [Q1, Q3]",
    ]  # fmt: skip
    assert {len(row) for row in rows} == {6}
    days = values["variables"][0]["overall"]
    assert rows[0][1] == f"{days['mean']:.0f} ({days['sd']:.0f})"
    first, median, third = days["quantiles"]
    assert rows[1][1] == f"{median:g} [{first:g}, {third:g}]"
    died = values["variables"][1]["overall"]
    assert rows[2][1] == f"{died['counts'][1]} ({died['proportions'][1] * 100:.0f} %)"
    assert "Minimum and maximum are not told: each is one patient's value." in notes
    assert any("Welch's t-test" in note for note in notes)


def test_levels_are_indented_under_their_variable():
    _, rows, _ = of(result(columns="arm,age"))
    assert [row[0] for row in rows[:3]] == ["arm, n (%)", "\u2003Arm A", "\u2003Arm B"]
    assert rows[0][1] == ""


def test_what_is_not_told_is_a_dash_and_said():
    values = result(by="arm", columns="died")
    values["suppressed"] = ["Arm C"]
    values["without_group"] = None
    own = values["variables"][0]
    own["groups"][0] = {
        **own["groups"][0],
        "n": None,
        "missing": None,
        "counts": [None, None],
        "proportions": [None, None],
    }
    own["test"], own["smd"] = None, None
    columns, rows, notes = of(values)
    assert rows[0][2] == "–"
    assert rows[1][0].strip() == "missing, n"
    assert columns[-1].startswith("Arm B"), "without tests and differences there are no columns for them"
    assert any("Arm C" in note for note in notes)
    assert "A few patients have no group and are left out." in notes
    ElementTree.fromstring(figure.draw(values))


@pytest.mark.parametrize(
    "typed", [{}, {"by": "arm"}, {"quantiles": "none"}, {"columns": "arm"}, {"quantiles": "0.1,0.9"}]
)
def test_the_picture_is_sound_and_tells_every_variable(typed):
    values = result(**typed)
    svg = figure.draw(values, ["A <small> print & more"])
    text = " ".join(ElementTree.fromstring(svg).itertext())
    assert "A <small> print & more" in text
    for variable in values["variables"]:
        assert variable["label"] in text
    assert ("SMD" in text) == bool(values["groups"])


def test_the_frame_is_long_and_tidy():
    frame = pd.DataFrame.from_records(list(table.records(result(by="arm"))))
    assert list(frame.columns) == ["variable", "label", "unit", "group", "group_label", "level", "statistic", "value"]
    age = frame[(frame["variable"] == "age") & (frame["group"] == "a")].set_index("statistic")["value"]
    assert set(age.index) == {
        "n",
        "missing",
        "mean",
        "sd",
        "lower",
        "upper",
        "quantile 0.25",
        "quantile 0.5",
        "quantile 0.75",
    }
    assert not frame.duplicated(["variable", "group", "level", "statistic"]).any()
    assert {"test p", "smd a vs b"} <= set(frame["statistic"])
