"""A site's rules for a Plan, checked when it arrives and again at the moment of the claim. Pure: facts go in.

Each rule raises Refused with its name; the name is all that the other side learns besides the sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from synthema_core.analyses import from_plan
from synthema_core.analyses.base import Analysis, numbers_of
from synthema_core.analyses.diffprivlib_model import DIFFPRIVLIB, DiffprivlibModel
from synthema_core.charging import mechanism_of
from synthema_core.code.questions import CodeQuestion, PerPatient
from synthema_core.errors import InvalidPlan, Refused, SynthemaError
from synthema_core.ledger import Budget
from synthema_core.plan import Mode, Participant, Plan
from synthema_core.policy import DatasetPolicy, Policy
from synthema_core.schemas import Schema


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """What a site knows of the newest version of one of its Datasets.

    Parameters
    ----------
    patients
        How many there are. Private: used only by exact mode's rules, never told.
    """

    name: str
    version: int
    schema: Schema
    commitment: str
    patients: int


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """What a site knows of itself, and the identity keys under which it first met the others.

    Parameters
    ----------
    sandbox
        Name of the backend in which code would run; empty where this machine offers none.
    """

    site: str
    identity: str
    engine: str
    datasets: Mapping[str, DatasetFacts]
    policy: Policy
    known_identities: Mapping[str, str]
    sandbox: str = ""


def admit(plan: Plan, facts: SiteFacts) -> Analysis:
    """The Plan's analysis, if every rule of this site allows it to be asked.

    Raises
    ------
    Refused
        Naming the first rule that forbids it.
    """
    participant = _named_as(plan, facts)
    dataset = _dataset_of(participant, facts)
    limits = facts.policy.for_dataset(dataset.name)
    _check_engine(plan, facts)
    _check_limits(plan, limits)
    analysis = _analysis_of(plan, dataset.schema)
    if isinstance(analysis, CodeQuestion | DiffprivlibModel) and not plan.cohort.is_everyone:
        raise Refused(
            f"'{plan.analysis}' is asked about all patients.", "Choose among them in the code.", rule="cohort"
        )
    if isinstance(analysis, CodeQuestion):
        _check_code(analysis, limits, dataset, facts)
    if isinstance(analysis, DiffprivlibModel):
        _check_epsilon(analysis.epsilon, limits)
    if plan.mode is Mode.EXACT:
        _check_exact(analysis, limits, dataset)
    else:
        _check_private(analysis, plan, limits, facts.policy.budget(dataset.name))
    return analysis


def _named_as(plan: Plan, facts: SiteFacts) -> Participant:
    try:
        participant = plan.participant(facts.site)
    except SynthemaError:
        raise Refused("The Plan does not name this site.", rule="participants") from None
    if participant.identity != facts.identity:
        raise Refused("The Plan names another identity key for this site.", rule="identity")
    for site, identity in plan.identities.items():
        if facts.known_identities.get(site, identity) != identity:
            raise Refused(
                f"The Plan shows another identity key for '{site}' than the one this site knows.",
                "If that site has a new key, its steward and yours should confirm it by telephone.",
                rule="known-identities",
            )
    return participant


def _dataset_of(participant: Participant, facts: SiteFacts) -> DatasetFacts:
    dataset = facts.datasets.get(participant.dataset)
    if dataset is None:
        raise Refused("The Plan asks about a dataset this site does not have.", rule="dataset")
    if (participant.version, participant.commitment) != (dataset.version, dataset.commitment):
        raise Refused("The dataset has another version or content now.", "Plan again.", rule="dataset-version")
    return dataset


def _check_engine(plan: Plan, facts: SiteFacts) -> None:
    if plan.engine != facts.engine:
        raise Refused("The Plan was made for another engine version.", "Plan again.", rule="engine")


def _check_limits(plan: Plan, limits: DatasetPolicy) -> None:
    if limits.requesters and plan.requester not in limits.requesters:
        raise Refused("This site does not take requests on this dataset from you.", rule="requesters")
    if limits.analyses and plan.analysis not in limits.analyses:
        raise Refused(f"This site does not offer '{plan.analysis}' on this dataset.", rule="analyses")
    if plan.analysis == DIFFPRIVLIB and not limits.diffprivlib:
        raise Refused(
            "This site fits no models of diffprivlib on this dataset.", "Ask a built-in analysis.", rule="diffprivlib"
        )
    if plan.output.min_patients < limits.min_patients:
        raise Refused("The Plan's min_patients is below this site's.", "Plan again.", rule="min_patients")
    _check_sites(plan, limits)


def _check_sites(plan: Plan, limits: DatasetPolicy) -> None:
    """How many are in the sum, and how many of them may know their own noise."""
    if plan.privacy is not None and len(plan.sites) == 1:  # nobody's insider, and nobody to hide among
        if not limits.local:
            raise Refused("This site answers no request that asks it alone.", "Ask more sites.", rule="local")
        return
    if max(plan.output.min_sites, limits.min_sites) > len(plan.sites) or plan.output.min_sites < limits.min_sites:
        raise Refused("The Plan's sums would be over fewer sites than this site wants.", "Ask more.", rule="min_sites")
    if plan.privacy is not None and plan.privacy.insiders < limits.insiders:
        raise Refused(
            f"The Plan allows for {plan.privacy.insiders} insiders, and this site wants {limits.insiders}.",
            f"Use --insiders {limits.insiders}.",
            rule="insiders",
        )


def _analysis_of(plan: Plan, schema: Schema) -> Analysis:
    if plan.schema != schema.digest:
        raise Refused("The Plan was made for another schema.", "Plan again.", rule="schema")
    try:
        analysis = from_plan(plan.analysis, plan.parameters)
        plan.cohort.check_against(schema)
        analysis.check_against(plan.cohort.schema(schema))
    except Refused:
        raise
    except SynthemaError as error:
        raise Refused(
            f"The Plan's parameters do not hold here: {error.message}", error.hint, rule="parameters"
        ) from None
    if analysis.private != (plan.mode is Mode.PRIVATE):
        raise Refused("The Plan's mode is not its analysis's.", rule="mode")
    if analysis.layout != plan.layout:
        raise Refused("The Plan declares another layout than its analysis has.", rule="layout")
    return analysis


def _check_code(question: CodeQuestion, limits: DatasetPolicy, dataset: DatasetFacts, facts: SiteFacts) -> None:
    if question.shape not in limits.code:
        raise Refused(
            f"This site runs no code of the shape '{question.shape}' on this dataset.",
            f"It runs {', '.join(limits.code)}." if limits.code else "Ask a built-in analysis.",
            rule="code",
        )
    if not facts.sandbox:
        raise Refused("This site has no sandbox for code.", "Ask a built-in analysis.", rule="sandbox")
    if question.cpu_seconds > limits.code_cpu_seconds:
        raise Refused(
            f"An evaluation may take {limits.code_cpu_seconds:g} CPU-seconds here.",
            f"Use --cpu-seconds {limits.code_cpu_seconds:g}.",
            rule="code_cpu_seconds",
        )
    if dataset.patients > limits.max_patients:  # the site's own promise is broken: true for every Plan alike
        raise Refused("This site runs no code on this dataset.", "Ask its engineer.", rule="max_patients")
    if isinstance(question, PerPatient) and question.capacity < limits.max_patients:
        raise Refused(
            f"The Plan has time for {question.capacity:,} patients, and here may be {limits.max_patients:,}.",
            "Plan again.",
            rule="capacity",
        )


def _check_exact(analysis: Analysis, limits: DatasetPolicy, dataset: DatasetFacts) -> None:
    if not limits.exact and not isinstance(analysis, CodeQuestion | DiffprivlibModel):  # which have rules of their own
        raise Refused("This site allows no exact sums on this dataset.", "Ask a private analysis.", rule="exact")
    if dataset.patients < limits.min_patients:
        raise Refused("The dataset has too few patients for exact sums.", rule="min_patients")
    if analysis.exact_times:
        if not limits.exact_times:
            raise Refused(
                "This site shows no exact event times of this dataset.",
                f"Use --step {limits.min_time_step:g}.",
                rule="exact_times",
            )
        return  # whoever allows the times themselves has allowed a number for each of them
    if analysis.time_step is not None and analysis.time_step < limits.min_time_step:
        raise Refused(
            f"The time grid is finer than the {limits.min_time_step:g} this site allows.",
            f"Use --step {limits.min_time_step:g}.",
            rule="min_time_step",
        )
    if numbers_of(analysis) > limits.max_numbers_per_patient * dataset.patients:
        raise Refused(
            "The Plan would release more numbers than this site allows for so few patients.",
            "Use a coarser grid, fewer groups or fewer covariates.",
            rule="max_numbers_per_patient",
        )


def _check_private(analysis: Analysis, plan: Plan, limits: DatasetPolicy, budget: Budget) -> None:
    assert plan.privacy is not None, "a private Plan declares its cost"
    if plan.privacy.delta > budget.delta:  # at a larger delta, the same epsilon buys less noise
        raise Refused(
            f"The Plan's delta is above the {budget.delta:g} of this site's budget.",
            f"Use --delta {budget.delta:g}.",
            rule="delta",
        )
    _check_epsilon(plan.privacy.epsilon, limits)
    try:
        mechanism_of(plan, analysis)
    except InvalidPlan as error:
        raise Refused(error.message, error.hint, rule="noise") from None


def _check_epsilon(epsilon: float, limits: DatasetPolicy) -> None:
    if epsilon > limits.epsilon_per_request:
        raise Refused(
            f"The Plan's epsilon is above the {limits.epsilon_per_request:g} this site allows for one request.",
            f"Use --epsilon {limits.epsilon_per_request:g}.",
            rule="epsilon_per_request",
        )
