"""Our Rounds beside the same Rounds in plain: in turn, in one Job, so that both meet the same machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

from bench.federation import SITES, Jobs, Question, new_federation
from bench.figures import Rounds, Row, spread, verdict
from bench.running import processes, say

_MORE_SITES = (*SITES, "dogwood")
#: floats -> (Rounds of each kind that count, target of the ratio)
_SIZES = {1_000: (12, 2.3), 1_000_000: (6, 1.6)}
_EXACT, _NOISY = ("masks", "nothing"), ("masks", "noise", "nothing")
_HEADINGS: Row = ("sum", "floats", "in plain", "secure", "ratio", "target", "of processor seconds", "drawing DP noise")


@dataclass(frozen=True, slots=True)
class InTurn:
    """Seconds of one Job's Rounds, by kind. The first of each kind is left out: with it keys and shares travel.

    Parameters
    ----------
    noisy
        Of Rounds that draw noise, too; empty where there is none.
    """

    plain: Sequence[float]
    secure: Sequence[float]
    noisy: Sequence[float]

    @classmethod
    def of(cls, question: Question, seconds: Sequence[float]) -> InTurn:
        kinds = len(question.without)
        parts = [seconds[kinds + kind :: kinds] for kind in range(kinds)]
        return cls(parts[0], parts[1], parts[2] if question.noisy else ())

    @property
    def ratio(self) -> float:
        """The median over pairs that followed each other."""
        return median(secure / plain for plain, secure in zip(self.plain, self.secure, strict=True))

    @property
    def ratio_of_means(self) -> float:
        """Steadier where single Rounds are a few ticks of the clock."""
        return mean(self.secure) / mean(self.plain)

    @property
    def noise_seconds(self) -> float:
        """What drawing adds to a secure Round: the median over pairs, too."""
        return median(noisy - secure for secure, noisy in zip(self.secure, self.noisy, strict=True))


def plain_and_secure(folder: Path) -> list[Row]:
    """A federation of four sites, and a Job of each kind over three of them, and over all."""
    federation = new_federation(folder)
    with processes(federation.logs) as children:
        say(f"Starting a hub and {len(_MORE_SITES)} datasites.")
        federation.start(_MORE_SITES, children)
        with closing(Jobs(federation)) as jobs:
            return [_HEADINGS, *(_measured(jobs, question) for question in _questions())]


def _questions() -> Iterator[Question]:
    for sites in (SITES, _MORE_SITES):
        for noisy in (False, True):
            for floats, (rounds, _) in _SIZES.items():
                without = _NOISY if noisy else _EXACT
                yield Question(floats, (rounds + 1) * len(without), sites, noisy, without)


def _measured(jobs: Jobs, question: Question) -> Row:
    say(f"Ours: {_kind(question)}, {question.rounds} rounds of {question.floats:,} floats.")
    row = _row(question, jobs.measure(question))
    say("; ".join(cell for cell in row if cell))
    return row


def _kind(question: Question) -> str:
    sites = len(question.sites)
    exchanges = "two exchanges" if question.noisy and sites > len(SITES) else "one exchange"
    return f"{sites} sites, {'with noise' if question.noisy else 'exact'}: {exchanges}"


def _row(question: Question, rounds: Rounds) -> Row:
    clock, used = (InTurn.of(question, each) for each in (rounds.seconds, rounds.processor_seconds))
    target = _SIZES[question.floats][1]
    judged = f"{clock.ratio:.2f}x {verdict(clock.ratio, target)}"
    cells = (spread(clock.plain), spread(clock.secure), judged, f"{target:g}x")
    processors = f"{used.ratio_of_means:.2f}x ({mean(used.plain):.2f} s and {mean(used.secure):.2f} s)"
    noise = f"{clock.noise_seconds:+.2f} s" if question.noisy else ""
    return (_kind(question), f"{question.floats:,}", *cells, processors, noise)
