"""What ``%fed analyses`` and ``%fed describe`` show."""

from __future__ import annotations

from synthema_core.analyses import find, names
from synthema_core.analyses.base import Analysis, other_form
from synthema_core.analyses.descriptions import DESCRIPTIONS, Description
from synthema_kernel.listing import listed
from synthema_kernel.markup import Table
from synthema_kernel.shown import Shown

_CODE = "code-"


def overview() -> Shown:
    """The questions that can be asked, one a row; code of one's own has its own line."""
    rows = [
        (name, _answers(name), _forms(find(name)))
        for name in sorted(names(), key=lambda name: (name not in DESCRIPTIONS, name))
        if not name.startswith(_CODE)
    ]
    table = Table(("Analysis", "What it answers", "Form"), rows)
    said = (
        "All of them take --where and --derive. Code of your own: %%remote, see %fed help. More: %fed describe ANALYSIS"
    )
    return Shown("Analyses", [table], [said])


def one(name: str) -> Shown:
    """One analysis: its options and an example.

    Raises
    ------
    NotFound
        With the names there are.
    """
    kind = find(name)
    described = DESCRIPTIONS.get(name)
    if described is None:
        return Shown(f"{name}: {kind.title}", [], [f"Form: {_forms(kind)}."])
    example = f'%fed run {described.example} --dataset NAME --purpose "Why you ask"'
    return Shown(
        f"{name}: {kind.title}",
        [_options(described), listed(example, "For example")],
        [described.answers, f"Form: {_forms(kind)}.", "Options of all questions: %fed help"],
    )


def _options(described: Description) -> Table:
    needed = {name for name, _, _ in described.needed}
    rows = [
        (f"--{name} {value}".rstrip(), meaning, "needed" if name in needed else "")
        for name, value, meaning in described.options
    ]
    return Table(("Option", "Meaning", ""), rows)


def _answers(name: str) -> str:
    described = DESCRIPTIONS.get(name)
    return described.answers if described else find(name).title


def _forms(kind: type[Analysis]) -> str:
    if kind.private:
        return "private, and exact with --exact" if other_form(kind) else "private: with noise"
    if kind.name == "diffprivlib":
        return "released by stewards"
    return "exact, and private with --epsilon" if other_form(kind) else "exact, where sites allow it"
