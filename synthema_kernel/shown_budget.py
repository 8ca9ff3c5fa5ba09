"""What ``%fed budget`` shows, and what a planned question would leave: bars, and the numbers beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from synthema_kernel import markup
from synthema_kernel.budget import Mine, SiteBudget, SiteOutlook
from synthema_kernel.markup import BAD, Part, Table, printable

_YOURS, _OTHERS, _PROMISED, _PLANNED = "#0072b2", "#8b949e", "#d9a441", "#009e73"
_CELLS = 40
_RULES = {
    "budget": "its budget has no room",
    "epsilon_per_researcher": "its limit for one researcher has no room",
    "epsilon_per_purpose": "its limit for one purpose has no room",
    "epsilon_per_request": "its limit for one request is lower",
    "delta": "its budget's delta is smaller",
}


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a Budget in a gauge; `sign` is for plain text."""

    label: str
    share: float
    colour: str
    sign: str


@dataclass(frozen=True, slots=True)
class Gauge:
    """A Budget as a bar: the parts that are taken, and what is free."""

    title: str
    slices: Sequence[Slice]
    note: str = ""

    def html(self) -> str:
        taken = [one for one in self.slices if one.share > 0]
        pieces = "".join(
            f'<span style="width:{100 * one.share / self._whole:.2f}%;background:{one.colour}" '
            f'title="{escape(_said(one))}"></span>'
            for one in taken
        )
        bar = (
            '<div style="display:flex;gap:1px;height:10px;border-radius:5px;overflow:hidden;'
            f'background:rgba(128,128,128,.18)" role="img" aria-label="{escape(self._spoken)}">{pieces}</div>'
        )
        keys = "".join(
            f'<span style="margin-right:14px;white-space:nowrap"><span style="color:{one.colour}">■</span> '
            f"{escape(_said(one))}</span>"
            for one in taken
        )
        free = f'<span style="white-space:nowrap;opacity:.75">{escape(self._free)}</span>'
        note = f'<div style="color:{BAD}">{escape(printable(self.note))}</div>' if self.note else ""
        return (
            f'<div style="max-width:640px;margin:8px 0 12px;font-size:13px">'
            f'<div style="font-weight:600;margin-bottom:3px">{escape(printable(self.title))}</div>{bar}'
            f'<div style="margin-top:3px">{keys}{free}</div>{note}</div>'
        )

    def text(self) -> str:
        drawn = "".join(one.sign * -int(-one.share / self._whole * _CELLS // 1) for one in self.slices)[:_CELLS]
        keys = ", ".join(f"{one.sign} {_said(one)}" for one in self.slices if one.share > 0)
        legend = f"{keys}, {self._free}" if keys else self._free
        return "\n".join(
            [printable(self.title), f"[{drawn:.<{_CELLS}}] {legend}", *([printable(self.note)] if self.note else [])]
        )

    @property
    def _whole(self) -> float:
        return max(1.0, sum(one.share for one in self.slices))

    @property
    def _free(self) -> str:
        free = 1 - sum(one.share for one in self.slices)
        return f"{free:.0%} free" if free >= 0 else f"{-free:.0%} too much"

    @property
    def _spoken(self) -> str:
        return printable(f"{self.title}: {', '.join([*map(_said, self.slices), self._free])}")


def budgets(known: Sequence[SiteBudget]) -> list[Part]:
    """A bar for each site, the numbers of all, and the caller's own charges."""
    parts: list[Part] = [Gauge(title(one, known), slices(one)) for one in known]
    return [*parts, _numbers(known), *_own(known)]


def text(known: Sequence[SiteBudget]) -> str:
    """The bars, where nothing else can be shown."""
    return "\n".join(Gauge(title(one, known), slices(one)).text() for one in known) or "No site has told a budget yet."


def outlook(planned: Sequence[SiteOutlook]) -> list[Part]:
    """What a planned question would leave at each site, and which would refuse it."""
    if not planned:
        return []
    rows = [_row(one) for one in planned]
    columns = ("Site", "Budget", "Spent", "With this", "Left", "The site would")
    return [Table(columns, rows, "What it would leave", frozenset({1, 2, 3, 4}))]


def outlook_bars(planned: Sequence[SiteOutlook]) -> list[Part]:
    """The same, as bars."""
    known = [one.before for one in planned if one.before]
    return [_planned_bar(one, known) for one in planned if one.before]


def refusals(planned: Sequence[SiteOutlook]) -> list[str]:
    """Sentences about the sites that would refuse it now."""
    return [f"{one.site} would refuse it now: {reason(one)}." for one in planned if one.refused]


def adds(one: SiteOutlook) -> float:
    """The part of the Budget that the planned question would take."""
    if one.before is None or one.outlook is None:
        return 0.0
    return max(0.0, one.outlook.share - one.before.told.standing.share)


def _planned_bar(one: SiteOutlook, known: Sequence[SiteBudget]) -> Gauge:
    assert one.before is not None and one.outlook is not None, "only of a site that has told its budget"
    planned = Slice("this question", adds(one), BAD if one.refused else _PLANNED, "+")
    note = f"Refused as it stands: {reason(one)}." if one.refused else ""
    return Gauge(title(one.before, known), [*slices(one.before), planned], note)


def slices(one: SiteBudget) -> list[Slice]:
    """What others and the caller have taken, and what is promised."""
    others = f"{one.others_requests} request{'' if one.others_requests == 1 else 's'} of others"
    return [
        Slice(others, one.others_share, _OTHERS, "#"),
        Slice("yours", one.my_share, _YOURS, "="),
        Slice("promised", one.told.shares["promised"], _PROMISED, "-"),
    ]


def title(one: SiteBudget, known: Sequence[SiteBudget]) -> str:
    """The site, and which patients where it has several groups."""
    several = sum(other.site == one.site for other in known) > 1
    about = ", ".join(one.told.datasets)
    return f"{one.site}, patients '{one.told.patients}' ({about})" if several else f"{one.site} ({about})"


def _numbers(known: Sequence[SiteBudget]) -> Table:
    rows = [
        (
            one.site,
            f"{one.told.budget.epsilon:g} at {one.told.budget.delta:g}",
            *(_amount(one.told.numbers[name]) for name in ("spent", "reserved", "promised", "left", "largest")),
            f"{_amount(_yours(one))} of {one.told.limits['epsilon_per_researcher']:g}",
            _ever(one),
        )
        for one in known
    ]
    columns = ("Site", "Budget", "Spent", "Under way", "Promised", "Left", "Largest request", "You", "Ever spent")
    return Table(columns, rows, "In epsilon, for one patient", frozenset(range(1, len(columns))))


def _own(known: Sequence[SiteBudget]) -> list[Part]:
    """The caller's charges, one row a Request, by purpose."""
    sites: dict[str, list[str]] = {}
    lines: dict[str, Mine] = {}
    for one in known:
        for line in one.mine:
            sites.setdefault(line.request, []).append(one.site)
            lines[line.request] = line
    ordered = sorted(lines.values(), key=lambda line: (line.purpose, line.at))
    rows = [
        (
            line.purpose,
            line.name or line.request,
            markup.moment(line.at),
            f"{line.epsilon:.3g}",
            ", ".join(sites[line.request]),
        )
        for line in ordered
    ]
    columns = ("Purpose", "Request", "Charged", "Epsilon", "Sites")
    return [Table(columns, rows, "Your charges since the last renewal", frozenset({3}))] if rows else []


def _row(one: SiteOutlook) -> tuple[str, ...]:
    if one.before is None or one.outlook is None:
        return (one.site, "–", "–", "–", "–", "not known: the site has told no budget yet")
    budget, share = one.before.told.budget, one.outlook.share
    spent = one.before.told.standing.spent_epsilon
    decision = f"refuse it: {reason(one)}" if one.refused else "have room"
    after = f"{one.outlook.after:.3g} ({share:.0%})"
    return (one.site, f"{budget.epsilon:g}", f"{spent:.3g}", after, f"{one.outlook.left:.3g}", decision)


def reason(one: SiteOutlook) -> str:
    """Why the site would refuse it: in words, and the rule's name."""
    rule = one.outlook.rule if one.outlook else ""
    return f"{_RULES.get(rule, 'a rule forbids it')} ({rule})"


def _yours(one: SiteBudget) -> float:
    """With what was only read again: that counts against the researcher's own limit."""
    return max((spent.epsilon(one.told.budget) for spent in one.told.requesters.values()), default=0.0)


def _ever(one: SiteBudget) -> str:
    renewals = one.told.renewals
    since = f", {renewals} renewal{'' if renewals == 1 else 's'}" if renewals else ""
    return f"{_amount(one.told.numbers['cumulative'])}{since}"


def _amount(value: float) -> str:
    return f"{value:.3g}"


def _said(one: Slice) -> str:
    return f"{one.label} {one.share:.0%}" if one.share >= 0.005 or not one.share else f"{one.label} < 1%"
