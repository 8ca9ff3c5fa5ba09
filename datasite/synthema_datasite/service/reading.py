"""A Request as its reviewer reads it, on the page and on the command line: the same words, nothing left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from synthema_core.admission import admit
from synthema_core.analyses import find
from synthema_core.canonical import Json
from synthema_core.charging import mechanism_of
from synthema_core.errors import Refused, SynthemaError
from synthema_core.identity import fingerprint
from synthema_core.ledger import Standing
from synthema_core.plan import Mode, Plan, describe_change
from synthema_core.request import Status
from synthema_core.request_record import RequestRecord
from synthema_core.schemas import Schema
from synthema_datasite.service.records import charges, dataset_records, known_identities, request_records
from synthema_datasite.service.site import Site


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its lines: (label, value)."""

    title: str
    lines: tuple[tuple[str, str], ...]


def read_request(site: Site, record: RequestRecord) -> list[Section]:
    """Everything a steward decides on, in the order in which it matters."""
    plan = record.plan
    sections = [_question(site, record), _protection(plan), _cost(site, plan), _sites(site, plan), _rules(site, record)]
    change = _change(site, record)
    return [section for section in (*sections, change, _circumstances(record)) if section is not None]


def _question(site: Site, record: RequestRecord) -> Section:
    plan = record.plan
    lines = [
        ("Purpose", plan.purpose),
        ("Asked by", plan.requester),
        ("Analysis", _title(plan)),
        ("Dataset here", _dataset_here(site, plan)),
        *((_label(name), _spell(value)) for name, value in plan.parameters.items() if value not in (None, [], {})),
        ("Columns read", _columns(site, plan)),
    ]
    return Section("What is asked", tuple(lines))


def _title(plan: Plan) -> str:
    try:
        return f"{find(plan.analysis).title} ({plan.analysis})"
    except SynthemaError:
        return f"{plan.analysis}, which is not installed here"


def _dataset_here(site: Site, plan: Plan) -> str:
    """Also of a Plan that this site's rules sent back: its steward wants to know what it was."""
    if site.name not in plan.sites:
        return "none: the Plan does not name this site"
    participant = plan.participant(site.name)
    return f"{participant.dataset}, version {participant.version}"


def _columns(site: Site, plan: Plan) -> str:
    try:
        columns = admit(plan, site.facts(site.journal)).columns
    except Refused:
        return "not known: this site's rules forbid the Plan"
    schema = dataset_records(site.journal)[plan.participant(site.name).dataset].facts.schema
    return "; ".join(_describe_column(schema, column) for column in columns)


def _describe_column(schema: Schema, column: str) -> str:
    title = schema.field(column).title
    return f"{column} ({title})" if title else column


def _protection(plan: Plan) -> Section:
    numbers = plan.layout.length
    lines = [
        ("What leaves", f"{numbers} masked numbers a round; only their sum over {len(plan.sites)} sites can be read"),
        ("Least patients", f"{plan.output.min_patients} at each site and in each group shown"),
        ("Least sites in a sum", str(plan.output.min_sites)),
    ]
    if plan.mode is Mode.EXACT:
        lines.append(("Guarantee", "none that is formal: exact sums, kept from small groups by the limits above"))
    return Section("What protects the patients", tuple(lines))


def _cost(site: Site, plan: Plan) -> Section | None:
    if plan.privacy is None:
        return None
    lines = [("This request", f"epsilon {plan.privacy.epsilon:g}, delta {plan.privacy.delta:g} for one patient here")]
    try:
        analysis = admit(plan, site.facts(site.journal))
    except Refused:
        return Section("Privacy cost", tuple(lines))
    mechanism, dataset = mechanism_of(plan, analysis), plan.participant(site.name).dataset
    standing = Standing.of(site.state.policy().budget(dataset), charges(site.journal, dataset))
    if mechanism is not None:
        after = standing.preview(mechanism)
        lines += [
            ("Spent so far", f"epsilon {standing.spent_epsilon:.3g} of {standing.budget.epsilon:g}"),
            ("Spent afterwards", f"epsilon {after:.3g}" + ("" if after <= standing.budget.epsilon else ": too much")),
            ("Noise", f"standard deviation {mechanism.standard_deviation:.3g}, added here in full"),
        ]
    return Section("Privacy cost", tuple(lines))


def _sites(site: Site, plan: Plan) -> Section:
    known = known_identities(site.journal)

    def standing(name: str, identity: str) -> str:
        if name == site.name:
            return "this site"
        if name not in known:
            return "first met in this request"
        return "known" if known[name] == identity else "NOT the key this site knows"

    lines = [(name, f"key {fingerprint(key)}, {standing(name, key)}") for name, key in sorted(plan.identities.items())]
    return Section("Sites in the sum", tuple(lines))


def _rules(site: Site, record: RequestRecord) -> Section | None:
    if record.request.status is not Status.UNDER_REVIEW:
        return None
    try:
        admit(record.plan, site.facts(site.journal))
        return Section(
            "This site's rules",
            (("Checked", "all of them allow this Plan; earlier answers below"), *_earlier(site, record)),
        )
    except Refused as error:
        return Section("This site's rules", ((f"Forbidden by {error.rule}", str(error)),))


def _earlier(site: Site, record: RequestRecord) -> list[tuple[str, str]]:
    """Earlier answers about the same patients: two exact answers can be subtracted."""
    dataset = record.plan.participant(site.name).dataset
    earlier = [
        other
        for other in request_records(site.journal, site.name)
        if other.request.id != record.request.id
        and other.request.status in (Status.RUNNING, Status.RELEASED)
        and other.plan.participant(site.name).dataset == dataset
    ]
    exact = sum(other.plan.mode is Mode.EXACT for other in earlier)
    same = sum(other.plan.question_digest == record.plan.question_digest for other in earlier)
    return [
        ("Earlier answers", f"{len(earlier)} about this dataset, {exact} of them exact"),
        *([("Asked before", f"{same} time(s), word for word")] if same else []),
    ]


def _change(site: Site, record: RequestRecord) -> Section | None:
    if not record.plan.supersedes:
        return None
    old = next(
        (r.plan for r in request_records(site.journal, site.name) if r.plan.digest == record.plan.supersedes), None
    )
    if old is None:
        return Section("Changed since the request it replaces", (("Unknown", "this site never saw that request"),))
    lines = tuple(
        (part, f"{_spell(before)} → {_spell(after)}") for part, before, after in describe_change(old, record.plan)
    )
    return Section("Changed since the request it replaces", lines)


def _circumstances(record: RequestRecord) -> Section:
    return Section(
        "The Plan",
        (
            ("Request", record.request.id),
            ("Digest", record.plan.digest),
            ("Engine", record.plan.engine),
            ("Made", record.plan.created_at),
            ("Expires", record.request.expires_at),
            ("Runs", "one"),
        ),
    )


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _spell(value: Json) -> str:
    if isinstance(value, Mapping) and {"column", "label"} <= value.keys():
        return _spell_column(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_spell(item)}" for key, item in value.items() if item not in (None, "", [], {}))
    if isinstance(value, list):
        shown = [f"({_spell(item)})" if isinstance(item, list | dict) else _spell(item) for item in value]
        return ", ".join(shown) if len(shown) <= 24 else f"{len(shown)} values, {shown[0]} to {shown[-1]}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def _spell_column(value: Mapping[str, Json]) -> str:
    """``t2 (Time to relapse), in days``, with levels or scaling where an analysis states them."""
    rest = {key: item for key, item in value.items() if key not in ("column", "label", "unit", "levels")}
    levels = value.get("levels")
    pairs = (
        [f"{level[0]} = {level[1]}" for level in levels if isinstance(level, list)] if isinstance(levels, list) else []
    )
    unit = f"in {value['unit']}" if value.get("unit") else ""
    parts = (f"{value['column']} ({value['label']})", unit, " or ".join(pairs), _spell(rest))
    return ", ".join(part for part in parts if part)
