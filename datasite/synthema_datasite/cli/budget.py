"""`synthema datasite budget show | renew`: what private answers have cost the patients here, and what is left."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

from synthema_core.errors import NotFound
from synthema_core.privacy.calibration import calibrate
from synthema_core.renewal import Renewal
from synthema_datasite.cli.arguments import leaf, passphrase, plain, signature, site_of
from synthema_datasite.service.budget_reading import BudgetReading, Part, Spender, pld_of, read_budgets
from synthema_datasite.service.register import Register
from synthema_datasite.service.renewals import renew

_BAR = 60
_MOST_PURPOSES = 20


def verbs(datasite: Any) -> None:
    budget = datasite.add_parser("budget", help="what private answers cost the patients").add_subparsers(
        title="verbs", metavar="VERB", required=True
    )
    show = leaf(budget, "show", _show, "what is spent, under way, promised and left, by whom and for what")
    show.add_argument("patients", nargs="?", default="", help="a group of patients in policy.toml; else each")
    show.add_argument("--epsilon", type=float, metavar="E", help="say also what one request of that cost would leave")
    show.add_argument("--json", action="store_true", help="for programs")
    parser = leaf(budget, "renew", _renew, "sign that the budget of a group of patients begins anew")
    parser.add_argument("patients", help="the group's name in policy.toml")
    signature(parser)
    parser.add_argument("--reason", default="", help="a sentence that stays with it")


def _show(arguments: argparse.Namespace) -> int:
    site = site_of(arguments)
    readings = read_budgets(site, Register(site).lines())
    chosen = [reading for reading in readings if arguments.patients in ("", reading.patients)]
    if arguments.patients and not chosen:
        names = ", ".join(reading.patients for reading in readings)
        raise NotFound(f"No dataset here is about the patients '{arguments.patients}'.", f"There are {names}.")
    if arguments.json:
        print(json.dumps([reading.public().to_dict() for reading in chosen]))
        return 0
    for reading in chosen:
        for line in budget_text(reading, arguments.epsilon):
            print(line)
    return 0


def _renew(arguments: argparse.Namespace) -> int:
    site = site_of(arguments)
    renewal = renew(site, arguments.patients, arguments.steward, passphrase(arguments), arguments.reason)
    if not renewal.complete:
        print(
            f"Signed. It takes {renewal.stewards_needed} stewards of this site: the renewal of "
            f"'{renewal.patients}' waits for another, who gives the same reason."
        )
        return 0
    budget = renewal.opened.budget
    print(
        f"The budget of the patients '{renewal.patients}' begins anew: epsilon {budget.epsilon:g} at delta "
        f"{budget.delta:g}. This is renewal {renewal.number}; what was spent before is still shown."
    )
    return 0


def budget_text(reading: BudgetReading, epsilon: float | None = None) -> Iterator[str]:
    """A group's Budget, line by line; what others wrote without control characters."""
    budget, standing = reading.budget, reading.standing
    yield f"Patients '{reading.patients}': {', '.join(reading.datasets)}"
    yield f"  {_bar(reading)}"
    yield _line("Budget", f"epsilon {budget.epsilon:g} at delta {budget.delta:g}")
    if reading.was_raised:
        declared = f"epsilon {reading.declared.epsilon:g} at delta {reading.declared.delta:g}"
        yield _line("", f"The policy now says {declared}; that takes effect with a renewal.")
    yield _line("# Spent", _part(reading.spent, "charge"))
    yield _line("= Reserved", f"{_part(reading.reserved, 'charge')}, by jobs that are under way")
    yield _line("- Promised", f"{_part(reading.promised, 'request')} that may still run")
    yield _line(". Left", f"epsilon {reading.left:.3g}; room for one request of up to epsilon {reading.largest:.3g}")
    yield _line("Ever spent", _ever(reading))
    if budget.own_delta:
        yield _line("Own deltas", f"{standing.spent.own_delta:.3g} of {budget.own_delta:g}")
    yield from _spenders("By researcher", reading.by_requester, reading.epsilon_per_researcher)
    yield from _spenders("For", reading.by_purpose[:_MOST_PURPOSES], reading.epsilon_per_purpose)
    yield from _renewals(reading)
    if epsilon is not None:
        yield _line(f"With epsilon {epsilon:g} more", _preview(reading, epsilon))


def _line(label: str, text: str) -> str:
    return f"  {label:<16}{text}"


def _bar(reading: BudgetReading) -> str:
    """Each part's length is its share of the Budget, rounded up so that no part vanishes."""
    parts = (("#", reading.spent), ("=", reading.reserved), ("-", reading.promised))
    drawn = "".join(sign * -int(-part.share * _BAR // 1) for sign, part in parts)[:_BAR]
    return f"[{drawn:.<{_BAR}}]"


def _part(part: Part, noun: str) -> str:
    return f"{part.share:>4.0%}, epsilon {part.epsilon:.3g}, {part.count} {noun}{'' if part.count == 1 else 's'}"


def _ever(reading: BudgetReading) -> str:
    tight = pld_of(reading.mechanisms, reading.budget)
    more = f"; {tight:.3g} by privacy loss distributions, for information" if tight is not None else ""
    return f"epsilon {reading.cumulative:.3g}, through {len(reading.renewals)} renewals{more}"


def _spenders(title: str, spenders: tuple[Spender, ...], limit: float) -> Iterator[str]:
    if spenders:
        yield f"  {title}"
    for one in spenders:
        yield f"    epsilon {one.epsilon:<8.3g} of {limit:g}, {one.charges:>4} charges  {plain(one.name)}"


def _renewals(reading: BudgetReading) -> Iterator[str]:
    if reading.renewals or reading.waiting:
        yield "  Renewals"
    for renewal in reading.renewals:
        yield f"    {_signed(renewal)}"
    if reading.waiting:
        yield f"    waits for another steward: {_signed(reading.waiting)}"


def _signed(renewal: Renewal) -> str:
    who = " and ".join(renewal.signatures)
    budget = renewal.opened.budget
    return f"{renewal.decided_at[:10]}  epsilon {budget.epsilon:g}, by {who}: {plain(renewal.reason)}"


def _preview(reading: BudgetReading, epsilon: float) -> str:
    after = reading.after(calibrate(epsilon, reading.budget.noise_delta, 1.0))
    if not after.fits:
        return "there is no room for that"
    return f"epsilon {after.spent:.3g} spent ({after.share:.0%}), {after.left:.3g} left; {after.more} more would fit"
