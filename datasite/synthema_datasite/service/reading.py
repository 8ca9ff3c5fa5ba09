"""A Request as its reviewer reads it, on the page and on the command line: the same words, nothing left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from synthema_core.admission import SiteFacts, admit
from synthema_core.analyses import find
from synthema_core.analyses.base import Analysis
from synthema_core.analyses.diffprivlib_model import NO_GUARANTEE, DiffprivlibModel
from synthema_core.canonical import Json
from synthema_core.charging import declared_epsilon
from synthema_core.code.outputs import Outputs
from synthema_core.code.questions import CodeQuestion
from synthema_core.errors import Refused, SynthemaError
from synthema_core.identity import fingerprint
from synthema_core.plan import Mode, Plan, describe_change
from synthema_core.request import Status
from synthema_core.request_record import RequestRecord, request_record
from synthema_core.schemas import Schema
from synthema_datasite.service.code_reading import CodeReading, question_of, read_code
from synthema_datasite.service.costs import Cost, SubCost, cost_of
from synthema_datasite.service.register import Line, Register
from synthema_datasite.service.site import Site
from synthema_datasite.service.stored_answers import StoredAnswer, answer_in_question

_SHOWN_APART = frozenset({"code", "outputs", "columns", "cpu_seconds", "clip", "capacity"})
"""Parameters of code that are explained, not listed."""
ANSWERED_BEFORE = "Answered before"
CHANGES = "Changed since the request it replaces"
_FITTED = (
    "diffprivlib fits the model here, on the patients who have all columns; every bound is the schema's, no seed is "
    "taken; the model waits here, and the mean over all sites is what can be read."
)
_WAITS = "what comes out waits at this site until a steward has looked at it; only then it is summed"
_FOLLOWING = frozenset({"layout", "supersedes"})
"""Parts of a Plan that change only with others."""
_ANSWERED = frozenset({Status.RUNNING, Status.SUMMING, Status.RELEASED})


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its lines: (label, value)."""

    title: str
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """All that can be said about a Request before it is decided.

    Parameters
    ----------
    refusal
        Which rule of this site forbids the Plan today; None if none does.
    cost
        None for an exact Plan, or one that this site's rules forbid.
    code
        None for a built-in analysis.
    stored
        The answer that would be handed on, where the question was answered before; None where something would run.
    """

    record: RequestRecord
    sections: tuple[Section, ...]
    refusal: Refused | None
    cost: Cost | None
    code: CodeReading | None
    stored: StoredAnswer | None = None


def read_request(site: Site, record: RequestRecord) -> list[Section]:
    """Everything a steward decides on but the code itself, in the order in which it matters."""
    return list(read(site, record, Register(site)).sections)


def read(site: Site, record: RequestRecord, register: Register) -> Reading:
    """As much as is to be known, also of a Plan that this site's rules forbid."""
    return _Reader(site, record, register.lines()).read()


class _Reader:
    """What the sections of one Reading share."""

    def __init__(self, site: Site, record: RequestRecord, lines: Sequence[Line]) -> None:
        self._site, self._record, self._plan, self._lines = site, record, record.plan, lines
        self._facts: SiteFacts = site.facts(site.journal)
        self._analysis: Analysis | None = None
        self._refusal: Refused | None = None
        self._cost: Cost | None = None
        self._stored = answer_in_question(site.journal, site.name, record)
        try:
            self._analysis = admit(self._plan, self._facts)
            self._cost = cost_of(site, self._plan, self._analysis)
        except Refused as error:
            self._refusal = error

    def read(self) -> Reading:
        question = self._analysis if isinstance(self._analysis, CodeQuestion) else question_of(self._plan)
        code = None
        if question is not None:
            code = read_code(question, self._facts, len(self._plan.sites), self._cost)
        sections = [
            self._question(code),
            self._answered_before(),
            self._protection(code),
            *([Section("What one evaluation may use", code.limits)] if code else []),
            self._privacy_cost(code),
            self._sites(),
            self._rules(),
            self._change(),
            self._circumstances(),
        ]
        kept = tuple(section for section in sections if section is not None)
        return Reading(self._record, kept, self._refusal, self._cost, code, self._stored)

    def _question(self, code: CodeReading | None) -> Section:
        plan = self._plan
        apart = _SHOWN_APART if code else frozenset[str]()
        lines = [
            ("Purpose", plan.purpose),
            ("Asked by", plan.requester),
            ("Analysis", f"{code.question.title} ({plan.analysis})" if code else _title(plan)),
            ("Dataset here", self._dataset_here()),
            *(("Patients", sentence) for sentence in self._cohort()),
            *(
                (_label(name), _spell(value))
                for name, value in plan.parameters.items()
                if value not in (None, [], {}) and name not in apart
            ),
            ("Columns read", self._columns(code)),
        ]
        if code:
            outputs = ", ".join(output.output.spell() for output in code.outputs)
            lines += [("What is done", code.explained), ("Outputs", outputs)]
        if isinstance(self._analysis, DiffprivlibModel):
            lines += _model_lines(self._analysis)
        return Section("What is asked", tuple(lines))

    def _answered_before(self) -> Section | None:
        """Nothing runs: what the stewards decide is whether one more person may read what is known."""
        stored = self._stored
        if stored is None:
            return None
        first = stored.record.plan
        charged = "nothing: it is an exact answer"
        epsilon = declared_epsilon(self._plan, self._analysis) if self._analysis else None
        if epsilon is not None:
            charged = f"epsilon {epsilon:g}, against the limits for {self._plan.requester}"
        return Section(
            ANSWERED_BEFORE,
            (
                ("Stored answer", f"released {stored.released_at[:10]} to {first.requester}, request {stored.request}"),
                ("Asked then for", first.purpose),
                ("If all sites approve", "the hub hands on that answer; nothing runs, and no other use is approved"),
                ("The patients' budget", "no new charge: nothing more is told about them"),
                ("Charged to the reader", charged),
            ),
        )

    def _dataset_here(self) -> str:
        """Also of a Plan that this site's rules sent back: its steward wants to know what it was."""
        if self._site.name not in self._plan.sites:
            return "none: the Plan does not name this site"
        participant = self._plan.participant(self._site.name)
        dataset = self._facts.datasets.get(participant.dataset)
        title = f" ({dataset.schema.title})" if dataset and dataset.schema.title else ""
        return f"{participant.dataset}{title}, version {participant.version}"

    def _cohort(self) -> Sequence[str]:
        """Whom it is about, in words; as it was typed where this site's schema cannot say it."""
        cohort, dataset = self._plan.cohort, self._facts.datasets.get(self._dataset_name())
        if self._refusal is None and dataset is not None:
            return cohort.sentences(dataset.schema)
        return [] if cohort.is_everyone else [cohort.where, *(f"{one.name} = {one.text}" for one in cohort.derived)]

    def _columns(self, code: CodeReading | None) -> str:
        columns: Sequence[str] = code.question.columns_read if code else ()
        if not code:
            if self._analysis is None:
                return "not known: this site's rules forbid the Plan"
            columns = self._plan.cohort.reads(self._analysis.columns)
        dataset = self._facts.datasets.get(self._dataset_name())
        return "; ".join(_describe_column(dataset.schema if dataset else None, column) for column in columns)

    def _dataset_name(self) -> str:
        named = self._site.name in self._plan.sites
        return self._plan.participant(self._site.name).dataset if named else ""

    def _protection(self, code: CodeReading | None) -> Section:
        plan, sites = self._plan, len(self._plan.sites)
        leaves = f"{plan.layout.length} masked numbers a round; only their sum over {sites} sites can be read"
        lines = [
            *([("Shape of the code", code.protects)] if code else []),
            ("What leaves", leaves),
            ("Least patients", f"{plan.output.min_patients} at each site and in each group shown"),
            ("Least sites in a sum", str(plan.output.min_sites)),
        ]
        if isinstance(self._analysis, DiffprivlibModel):
            lines += [
                ("Release decision", _WAITS),
                ("Guarantee", "none that is formal: its stewards' decision is what protects them"),
            ]
        elif plan.mode is Mode.EXACT and not code:
            lines.append(("Guarantee", "none that is formal: exact sums, kept from small groups by the limits above"))
        return Section("What protects the patients", tuple(lines))

    def _privacy_cost(self, code: CodeReading | None) -> Section | None:
        privacy, cost = self._plan.privacy, self._cost
        if privacy is not None:
            lines = [("This request", f"epsilon {privacy.epsilon:g}, delta {privacy.delta:g} for one patient here")]
        elif isinstance(self._analysis, DiffprivlibModel):
            lines = [("This request", f"epsilon {self._analysis.epsilon:g}, nominal"), ("No guarantee", NO_GUARANTEE)]
        else:
            return None
        if cost is not None:
            lines += _cost_lines(cost, read_again=self._stored is not None)
            if code is None and not self._stored:
                lines.append(("Noise", cost.mechanism.describe()))
        return Section("Privacy cost", tuple(lines))

    def _sites(self) -> Section:
        known = self._facts.known_identities

        def standing(name: str, identity: str) -> str:
            if name == self._site.name:
                return "this site"
            if name not in known:
                return "first met in this request"
            return "known" if known[name] == identity else "NOT the key this site knows"

        identities = sorted(self._plan.identities.items())
        lines = [(name, f"key {fingerprint(key)}, {standing(name, key)}") for name, key in identities]
        return Section("Sites in the sum", tuple(lines))

    def _rules(self) -> Section | None:
        if self._record.request.status is not Status.UNDER_REVIEW:
            return None
        if self._refusal is not None:
            return Section("This site's rules", ((f"Forbidden by {self._refusal.rule}", str(self._refusal)),))
        said = ("Checked", "all of them allow this Plan; earlier answers below")
        return Section("This site's rules", (said, *self._earlier()))

    def _earlier(self) -> list[tuple[str, str]]:
        """Earlier answers about the same patients: two exact answers can be subtracted."""
        dataset = self._dataset_name()
        earlier = [
            line
            for line in self._lines
            if line.id != self._record.request.id and line.status in _ANSWERED and line.dataset == dataset
        ]
        exact = sum(line.exact for line in earlier)
        question = self._plan.question_digest
        same = sum(line.question_digest == question for line in earlier)
        return [
            ("Earlier answers", f"{len(earlier)} about this dataset, {exact} of them exact"),
            *([("Asked before", f"{same} time(s), word for word")] if same else []),
        ]

    def _change(self) -> Section | None:
        if not self._plan.supersedes:
            return None
        found = next((line for line in self._lines if line.plan_digest == self._plan.supersedes), None)
        if found is None:
            return Section(CHANGES, (("Unknown", "this site never saw that request"),))
        old = request_record(self._site.journal, found.id, self._site.name).plan
        return Section(CHANGES, tuple(_changed(old, self._plan)))

    def _circumstances(self) -> Section:
        record = self._record
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


def _model_lines(model: DiffprivlibModel) -> list[tuple[str, str]]:
    """What is put out, and in which order its numbers stand."""
    terms, classes = ", ".join(term.label for term in model.terms), ", ".join(label for _, label in model.classes)
    return [
        ("What is done", _FITTED),
        ("Puts out", ", ".join(output.spell() for output in model.outputs.outputs)),
        ("Places of columns", f"in this order: {terms}"),
        *([("Places of groups", f"in this order: {classes}")] if classes else []),
    ]


def _cost_lines(cost: Cost, *, read_again: bool) -> list[tuple[str, str]]:
    """Against the patients' Budget, and against what one researcher and one purpose may cost."""
    budget, shares = cost.budget, f"{cost.standing.share:.0%} of the budget, {cost.then.share:.0%} afterwards"
    lines = [
        ("Patients", f"of the group '{cost.patients}': epsilon {budget.epsilon:g} at delta {budget.delta:g}"),
        ("Spent so far", f"epsilon {cost.spent:.3g} of {budget.epsilon:g}"),
    ]
    if read_again:
        lines.append(("Spent afterwards", "the same: the stored answer is read once more"))
    else:
        lines.append(("Spent afterwards", f"epsilon {cost.after:.3g}" + ("" if cost.fits else ": too much")))
        lines.append(("Part of the budget", shares + (f"; {cost.more} more like it would fit" if cost.fits else "")))
    return [*lines, ("This researcher", _within(cost.requester)), ("This purpose", _within(cost.purpose))]


def _within(part: SubCost) -> str:
    too_much = "" if part.fits else ": too much"
    return f"epsilon {part.spent:.3g} so far, {part.after:.3g} afterwards, of {part.limit:g}{too_much}"


def _changed(old: Plan, new: Plan) -> list[tuple[str, str]]:
    """Parameters one by one; of code that changed only that it did: the page shows its lines."""
    lines = []
    for part, before, after in describe_change(old, new):
        if part in _FOLLOWING:
            continue
        if isinstance(before, dict) and isinstance(after, dict) and part == "parameters":
            names = sorted({*before, *after})
            parts = [(name, before.get(name), after.get(name)) for name in names]
            lines += [(_label(name), _spell_change(name, one, two)) for name, one, two in parts if one != two]
        else:
            lines.append((part, _spell_change(part, before, after)))
    return lines


def _spell_change(name: str, before: Json, after: Json) -> str:
    if name == "code":
        return "changed, line by line below"
    spell = _spell_outputs if name == "outputs" else _spell
    return f"{spell(before)} → {spell(after)}"


def _spell_outputs(value: Json) -> str:
    """As they are typed: ``deaths[4]=1000``."""
    try:
        return ", ".join(output.spell() for output in Outputs.from_list(value).outputs)  # type: ignore[arg-type]
    except (SynthemaError, TypeError):
        return _spell(value)


def _title(plan: Plan) -> str:
    try:
        return f"{find(plan.analysis).title} ({plan.analysis})"
    except SynthemaError:
        return f"{plan.analysis}, which is not installed here"


def _describe_column(schema: Schema | None, column: str) -> str:
    try:
        title = schema.field(column).title if schema else ""
    except SynthemaError:
        return f"{column} (not a column of this dataset)"
    return f"{column} ({title})" if title else column


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
