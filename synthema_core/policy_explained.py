"""A Policy in words, rule by rule, for the people who decide under it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from synthema_core.ledger import Budget
from synthema_core.policy import EVERYBODY, DatasetPolicy, Policy


@dataclass(frozen=True, slots=True)
class Explained:
    """One rule: its name in policy.toml, its value as it is typed there, and what it does."""

    rule: str
    value: str
    sentence: str


def explain_policy(policy: Policy, dataset: str) -> list[Explained]:
    """All that holds for one Dataset, in the order of policy.toml; the Budget last."""
    limits, budget = policy.for_dataset(dataset), policy.budget(dataset)
    rules = [Explained(name, _typed(getattr(limits, name)), sentence(limits)) for name, sentence in _SENTENCES.items()]
    return [*rules, Explained("budget", _typed_budget(budget), _budget(policy, dataset))]


def _typed_budget(budget: Budget) -> str:
    own = f", own_delta {budget.own_delta:g}" if budget.own_delta else ""
    return f"epsilon {budget.epsilon:g}, delta {budget.delta:g}{own}"


def _budget(policy: Policy, dataset: str) -> str:
    budget = policy.budget(dataset)
    own = (
        f" {budget.own_delta:g} of it is kept for mechanisms with a delta of their own."
        if budget.own_delta
        else " No mechanism with a delta of its own fits."
    )
    return (
        f"All private answers about the patients '{policy.patients_of(dataset)}' together may cost one of them epsilon "
        f"{budget.epsilon:g} at delta {budget.delta:g}, until stewards renew it; no request may declare a larger delta."
        f"{own} What is raised here takes effect with a renewal, what is lowered at once."
    )


def _typed(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(str(item) for item in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]


def _people(count: int) -> str:
    return "one steward" if count == 1 else f"{count} different stewards"


def _exact(limits: DatasetPolicy) -> str:
    if limits.exact:
        return "Built-in analyses may be asked without noise, which carries no formal guarantee; their limits follow."
    return "No built-in analysis may be asked without noise."


def _exact_times(limits: DatasetPolicy) -> str:
    if limits.exact_times:
        return (
            "An exact survival curve may show the times of single events, and the two limits below do not hold for it."
        )
    return "No exact survival curve may show the times of single events."


def _auto_approve(limits: DatasetPolicy) -> str:
    if not limits.auto_approve:
        return "Nothing is approved without a steward."
    if limits.stewards > 1:
        return "Nothing is approved without a steward, as several must agree; the names have no effect."
    return (
        f"Requests for {_names(limits.auto_approve)} from sites met before are approved by this policy, if they are "
        "private and cost no more than auto_epsilon, or are the first exact question about the dataset; never code."
    )


def _auto_epsilon(limits: DatasetPolicy) -> str:
    if not limits.auto_epsilon or not limits.auto_approve:
        return "No private request is approved without a steward."
    return f"A private request that is approved without a steward costs at most epsilon {limits.auto_epsilon:g}."


def _insiders(limits: DatasetPolicy) -> str:
    if not limits.insiders:
        return "A private request may count on every site to add its noise, and to forget it."
    sites = (
        "one site that knows or leaves out its noise"
        if limits.insiders == 1
        else f"{limits.insiders} sites that know or leave out their noise"
    )
    return f"The cost that a private request declares must hold even with {sites}."


def _local(limits: DatasetPolicy) -> str:
    if limits.local:
        return "A private request may ask this site alone; its noise is then added here in full."
    return "No request may ask this site alone."


def _patients(limits: DatasetPolicy) -> str:
    if limits.patients == EVERYBODY:
        return "Its patients share one budget with those of all datasets that name no other patients."
    return f"Its patients share one budget with those of all datasets that name the patients '{limits.patients}'."


def _diffprivlib(limits: DatasetPolicy) -> str:
    if limits.diffprivlib:
        return (
            "Models of diffprivlib may be asked for; each is charged, waits for a release decision, and carries no "
            "guarantee of this platform's."
        )
    return "No model of diffprivlib may be asked for."


def _code(limits: DatasetPolicy) -> str:
    if not limits.code:
        return "Researchers may send no code of their own."
    return (
        f"Researchers may send code of the shapes {_names(limits.code)}; it runs in the sandbox, after a steward "
        "approved it."
    )


_SENTENCES: Mapping[str, Callable[[DatasetPolicy], str]] = {
    "min_patients": lambda it: (
        f"With fewer than {it.min_patients} patients, here or in a group shown, there are no numbers."
    ),
    "min_sites": lambda it: f"Every sum over several sites is over at least {it.min_sites}.",
    "insiders": _insiders,
    "local": _local,
    "exact": _exact,
    "exact_times": _exact_times,
    "min_time_step": lambda it: (
        f"The time grid of an exact survival curve is no finer than {it.min_time_step:g}, in the time column's unit."
    ),
    "max_numbers_per_patient": lambda it: (
        f"An exact request releases at most {it.max_numbers_per_patient:g} numbers, over all its rounds, for each "
        "patient here."
    ),
    "analyses": lambda it: (
        f"Only {_names(it.analyses)} may be asked." if it.analyses else "Every installed analysis may be asked."
    ),
    "epsilon_per_request": lambda it: f"One private request costs at most epsilon {it.epsilon_per_request:g}.",
    "approval_days": lambda it: f"An approval that is not used ends after {it.approval_days:g} days.",
    "requesters": lambda it: (
        f"Only {_names(it.requesters)} may ask." if it.requesters else "Every researcher of the federation may ask."
    ),
    "stewards": lambda it: (
        f"It takes {_people(it.stewards)} to approve a request, to release what code put out, and to share its log; "
        "one is enough to say no."
    ),
    "patients": _patients,
    "epsilon_per_researcher": lambda it: (
        f"All private answers to one researcher about these patients together cost at most epsilon "
        f"{it.epsilon_per_researcher:g}, at the budget's delta."
    ),
    "epsilon_per_purpose": lambda it: (
        f"All private answers for one purpose, by its words, together cost at most epsilon {it.epsilon_per_purpose:g}; "
        "a purpose in other words is another one, for a steward to notice."
    ),
    "auto_approve": _auto_approve,
    "auto_epsilon": _auto_epsilon,
    "code": _code,
    "max_patients": lambda it: (
        f"It is public that no version of the dataset has more than {it.max_patients:,} patients; with more, no code "
        "runs."
    ),
    "code_cpu_seconds": lambda it: f"One evaluation of code takes at most {it.code_cpu_seconds:g} CPU-seconds.",
    "diffprivlib": _diffprivlib,
}
