"""What a researcher types beside a function, as what the Plan declares: ``age=100, curve[10]=1``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from synthema_core.card import Card
from synthema_core.code.outputs import Content, Output, Outputs
from synthema_core.code.questions import Aggregate, PerBlock, PerPatient
from synthema_core.code.shapes import AGGREGATE, PER_BLOCK, PER_PATIENT, SHAPES
from synthema_core.code.source import Code, functions
from synthema_core.errors import InvalidInput, InvalidPlan, Refused

AnyShape: TypeAlias = PerPatient | PerBlock | Aggregate
CPU_SECONDS = {PER_PATIENT: 0.1, PER_BLOCK: 5.0, AGGREGATE: 30.0}
"""What one evaluation may take, where nothing is said."""
BLOCKS = 20
_BETWEEN_ITEMS = re.compile(r",(?![^\[\]]*\])")
_DECLARED = re.compile(r"([^\[\]=]*)(?:\[([\d\s,]*)\])?\s*=([^\[\]=]*)")
_SIZE = re.compile(r"\d{1,6}")
_NAMED_LIKE = {PER_PATIENT: "patient", PER_BLOCK: "block", AGGREGATE: "aggregate"}
_ANY_SHAPE = "study"


def read_outputs(returns: str, counts: Iterable[str] = (), defaults: str = "") -> Outputs:
    """The declared outputs.

    Parameters
    ----------
    returns
        ``name=bound`` or ``name[sizes]=bound``, between commas.
    counts
        The names of those that count patients.
    defaults
        ``name=value`` between commas: what counts where the code gives nothing; 0 where nothing is said.

    Raises
    ------
    InvalidInput, InvalidPlan
        Naming the first part that cannot be.
    """
    instead = dict(_assigned(item, "--default", "x=0") for item in _items(defaults))
    marked = set(counts)
    declared = [_output(item, instead, marked) for item in _items(returns)]
    unknown = sorted((marked | set(instead)) - {output.name for output in declared})
    if unknown:
        raise InvalidInput(f"--returns declares no output '{unknown[0]}'.", "Name an output that the code returns.")
    return Outputs(tuple(declared))


def _items(text: str) -> list[str]:
    return [item.strip() for item in _BETWEEN_ITEMS.split(text)] if text.strip() else []


def _output(item: str, defaults: dict[str, float], counts: set[str]) -> Output:
    found = _DECLARED.fullmatch(item)
    if found is None:
        raise InvalidInput(
            f"'{item}' in --returns declares no output.", "Write name=bound or name[10]=bound, for example age=100."
        )
    name = found[1].strip()
    content = Content.COUNTS if name in counts else Content.NUMBERS
    return Output(name, _shape(name, found[2]), _number(found[3], name), content, defaults.get(name, 0.0))


def _shape(name: str, sizes: str | None) -> tuple[int, ...]:
    if sizes is None:
        return ()
    parts = [part.strip() for part in sizes.split(",")]
    if not all(_SIZE.fullmatch(part) for part in parts):
        raise InvalidInput(f"The shape of '{name}' is not made of sizes.", "Write curve[10] or table[2,3].")
    return tuple(int(part) for part in parts)


def _assigned(item: str, option: str, example: str) -> tuple[str, float]:
    name, equals, value = item.partition("=")
    if not equals:
        raise InvalidInput(f"'{item}' in {option} gives no value.", f"For example {option} {example}.")
    return name.strip(), _number(value, name.strip())


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidInput(f"'{text.strip()}' after '{name}=' is not a number.", "For example age=100.")
    return value


def choose_function(source: str, shape: str, named: str = "") -> str:
    """The function that is called: the one named, else one named like the shape, else the last one.

    Raises
    ------
    InvalidPlan
        If the source defines no function, or none of that name.
    """
    defined = functions(source)
    if named:
        if named not in defined:
            raise InvalidPlan(f"The cell defines no function '{named}'.", _there_are(defined))
        return named
    if not defined:
        raise InvalidPlan("The cell defines no function.", "Write def patient(rows): and return what you declared.")
    likely = [name for name in (_NAMED_LIKE.get(shape), _ANY_SHAPE) if name in defined]
    return str(likely[0]) if likely else defined[-1]


def _there_are(defined: Sequence[str]) -> str:
    return f"It defines {', '.join(defined)}." if defined else "Write one with def."


def check_taken(shape: str, cards: Iterable[Card]) -> None:
    """Raise Refused, as the site would, where one of these takes no code of that shape."""
    for card in cards:
        shapes = card.policy.get("code")
        taken = [str(name) for name in shapes] if isinstance(shapes, list) else []
        if shape not in taken:
            hint = f"It takes {', '.join(taken)}." if taken else "Ask a built-in analysis, or other sites."
            raise Refused(f"'{card.site}' takes no code of the shape {shape} on '{card.dataset}'.", hint, rule="code")


def usual_seconds(shape: str, cards: Iterable[Card]) -> float:
    """What one evaluation may take where nothing is said; no more than any of these sites allows."""
    limits = [limit for card in cards if isinstance(limit := card.policy.get("code_cpu_seconds"), int | float)]
    return min([CPU_SECONDS[shape], *limits])


def make_question(
    shape: str,
    code: Code,
    outputs: Outputs,
    columns: tuple[str, ...],
    *,
    patients: int,
    cpu_seconds: float,
    clip: float | None = None,
    blocks: int | None = None,
) -> AnyShape:
    """The question that this code asks; what is None takes its default.

    Parameters
    ----------
    patients
        The most that a site may have: what code for each patient takes time for.
    clip
        By default the square root of the number of values, which cuts nothing that is within its bounds.

    Raises
    ------
    InvalidInput, InvalidPlan
        For a shape there is not, or an option that the shape does not have.
    """
    if shape not in SHAPES:
        raise InvalidInput(f"There is no shape '{shape}'.", f"There are {', '.join(SHAPES)}.")
    if blocks is not None and shape != PER_BLOCK:
        raise InvalidInput(f"Code of the shape {shape} has no blocks.", "Leave --blocks out.")
    if clip is not None and shape == AGGREGATE:
        raise InvalidInput(f"Code of the shape {shape} is not clipped.", "Leave --clip out.")
    if shape == AGGREGATE:
        return Aggregate(code, outputs, columns, cpu_seconds)
    norm = math.sqrt(outputs.length) if clip is None else clip
    if shape == PER_PATIENT:
        return PerPatient(code, outputs, columns, cpu_seconds, norm, patients)
    return PerBlock(code, outputs, columns, cpu_seconds, norm, BLOCKS if blocks is None else blocks)
