"""What the ``%fed`` verbs show besides results: sites, catalogue, Requests, Plans, help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthema_core.card import Card
from synthema_core.schemas import Field, Kind
from synthema_kernel import markup
from synthema_kernel.client import View
from synthema_kernel.markup import Table
from synthema_kernel.session import Rehearsed, spoken


@dataclass(frozen=True, slots=True)
class Shown:
    """Tables and sentences, as HTML and as plain text."""

    title: str = ""
    tables: Sequence[Table] = ()
    sentences: Sequence[str] = ()

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        html = [markup.heading(self.title)] if self.title else []
        html += [table.html() for table in self.tables]
        html += [markup.paragraph(sentence) for sentence in self.sentences]
        return {"text/html": markup.block(*html), "text/plain": str(self)}

    def __str__(self) -> str:
        parts = [
            markup.printable(self.title),
            *(table.text() for table in self.tables),
            *map(markup.printable, self.sentences),
        ]
        return "\n\n".join(part for part in parts if part)

    __repr__ = __str__


def sites(views: Sequence[View]) -> Shown:
    """The sites of the federation, and whether they are there."""
    rows = [
        (
            view["site"],
            view["title"] or "",
            "online" if view["online"] else "away",
            ", ".join(view["datasets"]) or "–",
            markup.short(view["identity"], 16),
        )
        for view in views
    ]
    return Shown("Sites", [Table(("Site", "Name", "State", "Datasets", "Identity key"), rows)])


def catalogue(cards: Sequence[Card]) -> Shown:
    """All Datasets on offer: one row a Dataset, with the sites that have it."""
    by_name: dict[str, list[Card]] = {}
    for card in sorted(cards, key=lambda card: (card.dataset, card.site, card.version)):
        by_name.setdefault(card.dataset, []).append(card)
    rows = [
        (
            name,
            group[-1].schema.title or group[-1].schema.name,
            ", ".join(dict.fromkeys(card.site for card in group)),
            str(len(group[-1].schema.fields) - 1),
        )
        for name, group in by_name.items()
    ]
    table = Table(("Dataset", "About", "Sites", "Columns"), rows, numbers=frozenset({3}))
    return Shown("Catalogue", [table], ["The columns of one dataset: %fed catalogue DATASET"])


def dataset(cards: Sequence[Card]) -> Shown:
    """One Dataset: its columns, and each site's limits."""
    schema = cards[0].schema
    columns = [
        (field.name, field.title, field.kind.value, field.unit or "", _values(field))
        for field in schema.fields
        if field.kind is not Kind.IDENTIFIER
    ]
    limits = sorted({name for card in cards for name in card.policy})
    policies = [(card.site, str(card.version), *(_limit(card.policy.get(name)) for name in limits)) for card in cards]
    return Shown(
        f"{cards[0].dataset}: {schema.title or schema.name}",
        [
            Table(("Column", "Meaning", "Type", "Unit", "Values"), columns),
            Table(("Site", "Version", *(name.replace("_", " ") for name in limits)), policies, "Limits of the sites"),
        ],
        [schema.description] if schema.description else [],
    )


def _values(field: Field) -> str:
    if field.codes:
        return "; ".join(code if code == label else f"{code} = {label}" for code, label in field.codes)
    if field.minimum is not None and field.maximum is not None:
        return f"{field.minimum:g} to {field.maximum:g}"
    return "yes or no" if field.kind is Kind.BOOLEAN else ""


def _limit(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(str(part) for part in value) or "–"
    return "–" if value is None else str(value)


def requests(views: Sequence[View]) -> Shown:
    """The caller's Requests, newest first."""
    rows = [
        (
            view["name"] or view["id"],
            spoken(view["status"]),
            view["title"],
            ", ".join(view["datasets"]),
            _verdicts(view),
            markup.moment(view["submitted_at"]),
        )
        for view in views
    ]
    table = Table(("Request", "Status", "Analysis", "Dataset", "Sites", "Submitted"), rows)
    return Shown("Requests", [table] if rows else [], [] if rows else ["You have no request yet. See %fed help."])


def _verdicts(view: Mapping[str, Any]) -> str:
    approved = sum(site["verdict"] == "approved" for site in view["sites"])
    return f"{approved} of {len(view['sites'])} approved"


def request(view: View) -> Shown:
    """One Request: each site's verdict, and what happened so far."""
    verdicts = [(site["site"], site["verdict"], site["by"], site["reason"]) for site in view["sites"]]
    trail = [(markup.moment(item["at"]), item["verb"], item["site"], item["actor"]) for item in view.get("trail", [])]
    failure = view["failure"]
    return Shown(
        f"{view['name'] or view['id']}: {spoken(view['status'])}",
        [
            Table(("Site", "Verdict", "By", "Reason"), verdicts),
            *([Table(("When", "What", "Site", "Who"), trail, "History")] if trail else []),
        ],
        [
            f"Purpose: {view['purpose']}",
            *([f"{failure['message']} {failure['hint']}"] if failure else []),
            f"Request {view['id']}, Plan {view['plan_digest']}",
        ],
    )


def plan(rehearsed: Rehearsed) -> Shown:
    """A Plan before it is submitted: what is asked, of whom, at which cost, and how the trial went."""
    plan = rehearsed.plan
    cost = f"epsilon {plan.privacy.epsilon:g}, delta {plan.privacy.delta:g}" if plan.privacy else "exact: no noise"
    rows = [
        ("Analysis", plan.analysis),
        ("Purpose", plan.purpose),
        ("Sites", ", ".join(plan.sites)),
        ("Datasets", ", ".join(sorted({f"{p.dataset} (version {p.version})" for p in plan.participants}))),
        ("Privacy", cost),
        ("Limits", f"at least {plan.output.min_patients} patients and {plan.output.min_sites} sites"),
        ("Sum of each round", f"{plan.layout.length:,} numbers"),
        ("Expires", markup.moment(plan.expires_at)),
        ("Digest", plan.digest),
    ]
    return Shown(rehearsed.name, [Table(("Plan", ""), rows)], [trial(rehearsed)])


def trial(rehearsed: Rehearsed) -> str:
    """One sentence about the trial on Mocks."""
    if rehearsed.failure:
        return f"On mock data it gave no result: {rehearsed.failure.message} On patients' data it may."
    rounds = f"{rehearsed.rounds} round{'' if rehearsed.rounds == 1 else 's'}"
    return f"Tried on mock data made from the schema alone: it works, in {rounds}."


def receipt(rehearsed: Rehearsed, view: View) -> Shown:
    """What ``%fed run`` answers."""
    name = rehearsed.name
    return Shown(
        f"Submitted '{name}' to {', '.join(rehearsed.plan.sites)}",
        (),
        [
            trial(rehearsed),
            "Nothing runs before every site has approved it.",
            f"Request {view['id']}, Plan {rehearsed.plan.digest}",
            f"Watch it: %fed follow {name}   Then: %fed result {name}",
        ],
    )
