"""What people are told of an analysis is what it takes, and every example can be asked."""

from __future__ import annotations

import re

import pytest

from support.builders import SCHEMA
from synthema_core import analyses
from synthema_core.analyses.descriptions import DESCRIPTIONS
from synthema_core.errors import InvalidInput


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_every_option_is_described_and_no_other(name: str) -> None:
    with pytest.raises(InvalidInput, match="no option --nosuch") as told:
        analyses.find(name).from_options({"nosuch": "1"}, SCHEMA)
    taken = set(re.findall(r"--([a-z0-9-]+)", told.value.hint))
    described = [option for option, _, _ in DESCRIPTIONS[name].options]
    assert set(described) == taken
    assert len(set(described)) == len(described)


def test_every_analysis_is_described() -> None:
    code = {name for name in analyses.names() if name.startswith("code-")}
    assert set(DESCRIPTIONS) == set(analyses.names()) - code


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_an_example_begins_with_its_name_and_has_what_is_needed(name: str) -> None:
    description = DESCRIPTIONS[name]
    assert description.example.split()[0] == name
    assert all(f"--{option} " in description.example for option, _, _ in description.needed)
