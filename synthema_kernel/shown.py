"""What the ``%fed`` verbs show besides results: sites, catalogue, Requests, Plans, help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synthema_core.card import Card
from synthema_core.plan import Plan
from synthema_core.schemas import Field, Kind
from synthema_kernel import markup, shown_budget
from synthema_kernel.budget import SiteBudget, SiteOutlook
from synthema_kernel.client import View
from synthema_kernel.evidence import Evidence
from synthema_kernel.listing import listed
from synthema_kernel.markup import Part, Table
from synthema_kernel.progress import spoken, standing, unanswered
from synthema_kernel.session import Rehearsed

if TYPE_CHECKING:
    from synthema_core.analyses.base import Analysis


@dataclass(frozen=True, slots=True)
class Shown:
    """Tables, other parts, and sentences, as HTML and as plain text."""

    title: str = ""
    parts: Sequence[Part] = ()
    sentences: Sequence[str] = ()

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        html = [markup.heading(self.title)] if self.title else []
        html += [part.html() for part in self.parts]
        html += [markup.paragraph(sentence) for sentence in self.sentences]
        return {"text/html": markup.block(*html), "text/plain": str(self)}

    def __str__(self) -> str:
        parts = [
            markup.printable(self.title),
            *(part.text() for part in self.parts),
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
        [*([schema.description] if schema.description else []), _rows_of_a_patient(schema.rows_per_patient)],
    )


def _rows_of_a_patient(most: int) -> str:
    return "Each patient has one row." if most == 1 else f"A patient may have up to {most} rows."


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
    """One Request: each site's verdict and decision, what was asked and answered, and what happened so far."""
    trail = [(markup.moment(item["at"]), item["verb"], item["site"], item["actor"]) for item in view.get("trail", [])]
    return Shown(
        f"{view['name'] or view['id']}: {spoken(view['status'])}",
        [
            _decisions(view),
            *_thread(view),
            *([Table(("When", "What", "Site", "Who"), trail, "History")] if trail else []),
        ],
        [*_next_steps(view), f"Purpose: {view['purpose']}", f"Request {view['id']}, Plan {view['plan_digest']}"],
    )


def _decisions(view: View) -> Table:
    """What each site said of the Plan; and of its output, where it waits for that."""
    outputs = [site.get("output") or {} for site in view["sites"]]
    rows = [(site["site"], site["verdict"], site["by"], _reason(site, "without")) for site in view["sites"]]
    if not any(outputs):
        return Table(("Site", "Verdict", "By", "Reason"), rows)
    more = [(output.get("state", "–"), output.get("by", ""), _reason(output, "left_out")) for output in outputs]
    columns = ("Site", "Verdict", "By", "Reason", "Output", "By", "Reason")
    return Table(columns, [(*row, *output) for row, output in zip(rows, more, strict=True)])


def _reason(decision: Mapping[str, Any], kept: str) -> str:
    """Why, and which outputs are left out of the sum."""
    left_out = ", ".join(decision.get(kept) or [])
    said = [str(decision.get("reason", "")), f"without {left_out}" if left_out else ""]
    return "; ".join(part for part in said if part)


def _thread(view: View) -> list[Table]:
    """What stewards asked, and what was answered."""
    rows = [(item["who"], item["site"], item["text"]) for item in view.get("thread") or []]
    return [Table(("Who", "Site", "Said"), rows, "Questions and answers")] if rows else []


def _next_steps(view: View) -> list[str]:
    name, told, failure = view["name"] or view["id"], standing(view), view["failure"]
    return [
        *([f"{told[0].upper()}{told[1:].rstrip('.')}."] if told else []),
        *([f'Answer: %fed answer {name} "..."'] if unanswered(view) else []),
        *([f"{failure['message']} {failure['hint']}"] if failure else []),
        *([f"A steward shared a log: %fed logs {name}"] if view.get("logs") else []),
        *([f"Its answer is that of release {stored}: nothing ran."] if (stored := view.get("reused_from")) else []),
    ]


def logs(name: str, shared: Sequence[Mapping[str, Any]]) -> Shown:
    """What stewards shared of a Request's runs: written by code about rows, read by a steward before it came here."""
    parts = [listed(item["text"], f"{item['site']}, shared by {item['steward']}") for item in shared]
    return Shown(f"Logs of '{name}'", parts, [] if parts else ["No steward has shared a log of it."])


def plan(rehearsed: Rehearsed, more: Sequence[Part] = ()) -> Shown:
    """A Plan before it is submitted: what is asked, of whom, at which cost, what to expect, and how the trial went."""
    parts = [*asked(rehearsed), *more, *shown_budget.outlook(rehearsed.leaves), *changes(rehearsed)]
    said = [trial(rehearsed), *shown_budget.refusals(rehearsed.leaves), "Nothing was submitted."]
    return Shown(rehearsed.name, parts, said)


def budgets(known: Sequence[SiteBudget]) -> Shown:
    """What ``%fed budget`` answers."""
    if not known:
        return Shown("Privacy budgets", [], ["No site has told a budget yet."])
    said = "What one request would leave: %fed budget DATASET --epsilon 1, or any question with --dry-run."
    return Shown("Privacy budgets", shown_budget.budgets(known), [said])


def outlook(planned: Sequence[SiteOutlook], epsilon: float) -> Shown:
    """What ``%fed budget --epsilon`` answers."""
    parts = [*shown_budget.outlook_bars(planned), *shown_budget.outlook(planned)]
    title = f"With one request of epsilon {epsilon:g} more"
    return Shown(title, parts, shown_budget.refusals(planned) or ["Every site has room."] if planned else [])


def asked(rehearsed: Rehearsed) -> list[Part]:
    """The Plan; of code, also its outputs, findings and trial."""
    plan, evidence = rehearsed.plan, rehearsed.evidence
    if evidence is not None:
        from synthema_kernel import shown_code

        return [Table(("Plan", ""), shown_code.facts(plan, evidence.question)), *shown_code.parts(plan, evidence)]
    from synthema_core.analyses import from_plan
    from synthema_kernel.noise import noise_told

    question = from_plan(plan.analysis, plan.parameters)
    noise = noise_told(plan, question)
    rows = [
        ("Analysis", plan.analysis),
        ("Purpose", plan.purpose),
        ("Sites", ", ".join(plan.sites)),
        ("Datasets", ", ".join(sorted({f"{p.dataset} (version {p.version})" for p in plan.participants}))),
        *(("Patients", sentence) for sentence in plan.cohort.sentences(rehearsed.schema)),
        ("Privacy", _cost(plan, question)),
        *([("Noise", noise)] if noise else []),
        ("Limits", f"at least {plan.output.min_patients} patients and {plan.output.min_sites} sites"),
        ("Sum of each round", f"{plan.layout.length:,} numbers"),
        ("Expires", markup.moment(plan.expires_at)),
        ("Digest", plan.digest),
    ]
    return [Table(("Plan", ""), rows)]


def _cost(plan: Plan, question: Analysis) -> str:
    if plan.privacy is not None:
        return f"epsilon {plan.privacy.epsilon:g}, delta {plan.privacy.delta:g}"
    from synthema_core.analyses.diffprivlib_model import NO_GUARANTEE, DiffprivlibModel

    if isinstance(question, DiffprivlibModel):
        return f"nominal epsilon {question.epsilon:g}; a steward of every site looks first. {NO_GUARANTEE}"
    return "exact: no noise"


def changes(rehearsed: Rehearsed) -> list[Part]:
    """What is not as in the Plan it supersedes."""
    if rehearsed.before is None:
        return []
    from synthema_kernel.difference import difference

    return difference(rehearsed.before, rehearsed.plan)


def compared(old: Plan, new: Plan, names: tuple[str, str]) -> Shown:
    """What ``%fed diff`` answers."""
    from synthema_kernel.difference import difference

    parts = difference(old, new)
    return Shown(f"From '{names[0]}' to '{names[1]}'", parts, [] if parts else ["Nothing but its dates is different."])


def trial(rehearsed: Rehearsed) -> str:
    """One sentence about the trial on Mocks."""
    if rehearsed.evidence is not None:
        return _code_trial(rehearsed.evidence)
    if rehearsed.failure:
        return f"On mock data it gave no result: {rehearsed.failure.message} On patients' data it may."
    rounds = f"{rehearsed.rounds} round{'' if rehearsed.rounds == 1 else 's'}"
    return f"Tried on mock data made from the schema alone: it works, in {rounds}."


def _code_trial(evidence: Evidence) -> str:
    done = evidence.trial
    if done is None:
        return f"It was not tried: {evidence.untried} Without a sandbox, code is not run."
    if done.returned == done.evaluations:
        return "Tried on mock data made from the schema alone: it works."
    end = "the declared default counts for it" if evidence.question.private else "the request ends without a result"
    failed = f"{done.evaluations - done.returned} of {done.evaluations}"
    return f"On mock data, {failed} evaluations did not return what was declared; at a site, {end}."


def receipt(rehearsed: Rehearsed, view: View) -> Shown:
    """What ``%fed run`` and ``%%remote`` answer."""
    name = rehearsed.name
    parts = asked(rehearsed) if rehearsed.evidence else []
    return Shown(
        f"Submitted '{name}' to {', '.join(rehearsed.plan.sites)}",
        [*parts, *changes(rehearsed)],
        [
            trial(rehearsed),
            *shown_budget.refusals(rehearsed.leaves),
            "Nothing runs before every site has approved it.",
            f"Request {view['id']}, Plan {rehearsed.plan.digest}",
            f"Watch it: %fed follow {name}   Then: %fed result {name}",
        ],
    )
