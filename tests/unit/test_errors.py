"""The tree of errors is the one its docstring draws, and each crosses a process boundary as itself."""

from __future__ import annotations

import re

import pytest

from synthema_core import errors
from synthema_core.errors import BudgetSpent, Refused, SynthemaError, from_wire, to_wire


def classes() -> dict[str, type[SynthemaError]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, SynthemaError)
    }


CLASSES = classes()


def drawn() -> dict[str, str]:
    """Name of each class in the docstring's tree, and of the one it hangs from."""
    assert errors.__doc__ is not None
    parents, above = {}, ["Exception"]
    for indent, name in re.findall(r"^    ([│├└─ ]*)(\w+)", errors.__doc__, re.MULTILINE):
        depth = len(indent) // 4 + 1
        parents[name] = above[depth - 1]
        above[depth:] = [name]
    return parents


def test_the_tree_drawn_is_the_tree_there_is() -> None:
    assert drawn() == {name: cls.__base__.__name__ for name, cls in CLASSES.items() if cls.__base__}


def test_each_class_has_a_code_of_its_own() -> None:
    assert len({cls.code for cls in CLASSES.values()}) == len(CLASSES)


@pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES)
@pytest.mark.parametrize("hint", ["", "Plan again."])
def test_an_error_arrives_as_itself(cls: type[SynthemaError], hint: str) -> None:
    again = from_wire(to_wire(cls("It is not.", hint)))
    assert (type(again), again.message, again.hint) == (cls, "It is not.", hint)
    assert str(again) == f"It is not. {hint}".rstrip()


@pytest.mark.parametrize("cls", [Refused, BudgetSpent])
def test_a_refusal_arrives_with_its_rule(cls: type[Refused]) -> None:
    again = from_wire(to_wire(cls("No.", rule="min_patients")))
    assert isinstance(again, cls)
    assert again.rule == "min_patients"


def test_a_refusal_without_a_rule_keeps_its_classes() -> None:
    for cls, rule in ((Refused, "policy"), (BudgetSpent, "budget")):
        again = from_wire({"error": cls.code, "message": "No."})
        assert isinstance(again, Refused)
        assert again.rule == rule == cls("No.").rule


@pytest.mark.parametrize("wire", [{}, {"error": "of tomorrow"}, {"error": "of tomorrow", "rule": "x"}], ids=str)
def test_an_error_of_an_unknown_kind_keeps_its_text(wire: dict[str, str]) -> None:
    again = from_wire({**wire, "message": "A new thing.", "hint": "Update."})
    assert (type(again), str(again)) == (SynthemaError, "A new thing. Update.")
    assert from_wire(wire).message == "The other side gave no reason."


def test_only_a_refusal_tells_a_rule() -> None:
    for cls in CLASSES.values():
        assert ("rule" in to_wire(cls("No."))) == issubclass(cls, Refused)


@pytest.mark.parametrize("sent", [None, [], "text", 7, {"message": 3, "hint": None}, {"error": ["refused"]}])
def test_whatever_a_hostile_side_sends_becomes_an_error_of_the_tree(sent: object) -> None:
    assert type(from_wire(sent)) is SynthemaError


def test_an_error_class_without_a_code_of_its_own_takes_nobodys_place() -> None:
    class Private(SynthemaError):
        def __init__(self) -> None:
            super().__init__("Only here.")

    assert type(from_wire({"error": Private.code, "message": "m", "hint": ""})) is SynthemaError
