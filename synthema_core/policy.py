"""A Policy: a site's own limits, written by its engineer in policy.toml and read afresh for every decision."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from synthema_core.analyses.diffprivlib_model import DIFFPRIVLIB
from synthema_core.canonical import Json, digest
from synthema_core.code.shapes import SHAPES, analysis_name
from synthema_core.errors import InvalidPolicy
from synthema_core.ledger import Budget
from synthema_core.secure_sum.terms import SMALLEST_FEDERATION

_FEWEST_PATIENTS = 3
_LONGEST_APPROVAL_DAYS = 3650.0
_PARTS = frozenset({"defaults", "datasets", "patients"})
_BUDGET = "budget"
_PATIENTS = re.compile(r"[a-z][a-z0-9_-]{0,62}")
EVERYBODY = "all"
"""The group of patients that Datasets belong to unless their table says otherwise."""
_DEFAULT_BUDGET = Budget(3.0, 1e-6)


@dataclass(frozen=True, slots=True)
class DatasetPolicy:
    """The limits for one Dataset.

    Parameters
    ----------
    min_patients
        Fewer patients, in the Cohort here or in a group shown, and there are no numbers.
    min_sites
        A sum is over at least this many sites.
    insiders
        A private Plan must allow for at least so many sites that know, or leave out, their own noise. Not one of a
        single site.
    local
        Whether a private Plan may ask this site alone, which then adds the noise in full; min_sites is not for it.
    exact
        Whether sums without noise are allowed.
    exact_times
        Whether an exact survival curve may show event times themselves.
    min_time_step
        The finest time grid of an exact survival curve, in the time column's unit.
    max_numbers_per_patient
        An exact Plan may release at most this many numbers, over all its Rounds, for each patient here.
    analyses
        Names of the analyses that may be asked; empty allows all.
    epsilon_per_request
        The most one private Request may cost, at a delta no larger than the Budget's.
    approval_days
        After so many days an approval that was not used is void.
    requesters
        Who may ask; empty allows every researcher of the federation.
    stewards
        How many stewards must approve, and clear what is staged.
    patients
        The group that its patients belong to. Datasets of one group share its Budget; those that have a patient in
        common must be in one group.
    epsilon_per_researcher
        The most that all private answers to one researcher about these patients may cost together.
    epsilon_per_purpose
        The same for one purpose, found by its words. A purpose in other words is another purpose.
    auto_approve
        Names of built-in analyses that this site approves by itself, within all its limits. Never code.
    auto_epsilon
        The most a private Request may cost to be approved that way.
    code
        Shapes of code that may be sent; empty allows none.
    max_patients
        No version of the Dataset has more patients. Public, and the measure of how long code per patient takes: with
        more of them than this, the site runs no code.
    code_cpu_seconds
        The most one evaluation of code may take.
    diffprivlib
        Whether a model of diffprivlib may be fitted here. Its result needs a release decision: what it says of its own
        privacy is no guarantee of this platform's.
    """

    min_patients: int = 10
    min_sites: int = SMALLEST_FEDERATION
    insiders: int = 1
    local: bool = False
    exact: bool = False
    exact_times: bool = False
    min_time_step: float = 30.0
    max_numbers_per_patient: float = 12.0
    analyses: tuple[str, ...] = ()
    epsilon_per_request: float = 1.0
    approval_days: float = 30.0
    requesters: tuple[str, ...] = ()
    stewards: int = 1
    patients: str = EVERYBODY
    epsilon_per_researcher: float = 3.0
    epsilon_per_purpose: float = 3.0
    auto_approve: tuple[str, ...] = ()
    auto_epsilon: float = 0.0
    code: tuple[str, ...] = ()
    max_patients: int = 1_000
    code_cpu_seconds: float = 60.0
    diffprivlib: bool = False

    def __post_init__(self) -> None:
        least = {
            "min_patients": _FEWEST_PATIENTS,
            "min_sites": SMALLEST_FEDERATION,
            "insiders": 0,
            "min_time_step": 0,
            "max_numbers_per_patient": 0,
            "epsilon_per_request": 0,
            "approval_days": 0.01,
            "stewards": 1,
            "epsilon_per_researcher": 0,
            "epsilon_per_purpose": 0,
            "auto_epsilon": 0,
            "max_patients": _FEWEST_PATIENTS,
            "code_cpu_seconds": 0.01,
        }
        for name, limit in least.items():
            if not limit <= getattr(self, name) < float("inf"):
                raise InvalidPolicy(f"The policy's {name} must be at least {limit:g}.")
        if self.approval_days > _LONGEST_APPROVAL_DAYS:
            raise InvalidPolicy(f"The policy's approval_days must be at most {_LONGEST_APPROVAL_DAYS:g}.")
        if not _PATIENTS.fullmatch(self.patients):
            raise InvalidPolicy(
                f"The policy's patients cannot be called '{self.patients}'.", "Use lower-case letters, digits, hyphens."
            )
        unknown = sorted(set(self.code) - set(SHAPES))
        if unknown:
            raise InvalidPolicy(f"There is no shape of code '{unknown[0]}'.", f"There are {', '.join(SHAPES)}.")
        if any(name.startswith(analysis_name("")) for name in self.auto_approve):
            raise InvalidPolicy("No code is approved without a steward.", "Name built-in analyses in auto_approve.")
        if DIFFPRIVLIB in self.auto_approve:
            raise InvalidPolicy("Nothing with a release decision is approved without a steward.", "Name others.")

    def public(self) -> dict[str, Json]:
        """What the Card shows: everything but nothing else; a limit that researchers do not know only wastes time."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Policy:
    """A site's limits: for each named Dataset, and for all others.

    Parameters
    ----------
    budgets
        Of each group of patients that has its own.
    default_budget
        Of the group EVERYBODY.
    """

    defaults: DatasetPolicy = field(default_factory=DatasetPolicy)
    datasets: Mapping[str, DatasetPolicy] = field(default_factory=dict)
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    default_budget: Budget = _DEFAULT_BUDGET

    def __post_init__(self) -> None:
        """A misspelt group must not begin with a Budget that nothing was spent of."""
        for limits in (self.defaults, *self.datasets.values()):
            if limits.patients != EVERYBODY and limits.patients not in self.budgets:
                raise InvalidPolicy(
                    f"The policy gives the patients '{limits.patients}' no budget.",
                    f"Write [patients.{limits.patients}] with epsilon and delta.",
                )

    def for_dataset(self, name: str) -> DatasetPolicy:
        return self.datasets.get(name, self.defaults)

    def patients_of(self, dataset: str) -> str:
        """The group that the patients of that Dataset belong to."""
        return self.for_dataset(dataset).patients

    def budget_of(self, patients: str) -> Budget:
        """The ceiling of a group."""
        return self.budgets.get(patients, self.default_budget)

    def budget(self, dataset: str) -> Budget:
        """The ceiling for the patients of that Dataset, over all its versions and all Datasets of their group."""
        return self.budget_of(self.patients_of(dataset))

    @property
    def digest(self) -> str:
        """Names this Policy in what it decides by itself (`policy:<digest>`)."""
        return digest(
            {
                "defaults": self.defaults.public(),
                "datasets": {name: limits.public() for name, limits in self.datasets.items()},
                "budgets": {name: budget.to_dict() for name, budget in self.budgets.items()},
                "default_budget": self.default_budget.to_dict(),
            }
        )


def parse_policy(text: str) -> Policy:
    """The Policy of that TOML.

    Raises
    ------
    InvalidPolicy
        For anything that is not understood: a misspelt limit must not be a missing one.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidPolicy(f"The policy is not TOML: {error}.") from None
    _check_known(data, _PARTS, "The policy")
    general = _table(data.get("defaults", {}), "[defaults]")
    tables = {
        name: _table(table, f"[datasets.{name}]")
        for name, table in _table(data.get("datasets", {}), "[datasets]").items()
    }
    defaults = _limits("[defaults]", {}, general)
    base = {f.name: getattr(defaults, f.name) for f in fields(DatasetPolicy)}
    datasets = {name: _limits(f"[datasets.{name}]", base, table) for name, table in tables.items()}
    budgets = _budgets(data, {name: limits.patients for name, limits in datasets.items()})
    default_budget = budgets.pop(EVERYBODY, _DEFAULT_BUDGET)
    return Policy(defaults=defaults, datasets=datasets, budgets=budgets, default_budget=default_budget)


def _budgets(data: Mapping[str, Any], patients: Mapping[str, str]) -> dict[str, Budget]:
    """Of each group for which one is written down, at whatever place.

    Parameters
    ----------
    patients
        The group of each Dataset that has a table.
    """
    found: dict[str, tuple[str, Budget]] = {}
    for group, where, table in _written_budgets(data, patients):
        delta = found[EVERYBODY][1].delta if EVERYBODY in found else _DEFAULT_BUDGET.delta
        budget = _budget(where, table, delta)
        first, other = found.setdefault(group, (where, budget))
        if other != budget:
            raise InvalidPolicy(
                f"The policy gives the patients '{group}' one budget in {first} and another in {where}.",
                "Leave one out, or give the dataset other patients if no patient is in both.",
            )
    return {group: budget for group, (_, budget) in found.items()}


def _written_budgets(data: Mapping[str, Any], patients: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    """(group, where it is written, table); the default first, whose delta the others inherit."""
    if _BUDGET in data.get("defaults", {}):
        yield EVERYBODY, "[defaults.budget]", data["defaults"][_BUDGET]
    groups = _table(data.get("patients", {}), "[patients]")
    for group in sorted(groups, key=lambda name: name != EVERYBODY):
        if not _PATIENTS.fullmatch(group):
            raise InvalidPolicy(f"The policy's patients cannot be called '{group}'.", "Use lower-case letters.")
        yield group, f"[patients.{group}]", groups[group]
    for dataset, table in data.get("datasets", {}).items():
        if _BUDGET in table:
            yield patients[dataset], f"[datasets.{dataset}.budget]", table[_BUDGET]


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidPolicy(f"{where} of the policy is not a table.", "Write it as [datasets.NAME].")
    return value


def _check_known(table: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise InvalidPolicy(f"{where} has an unknown '{unknown[0]}'.", f"Known are {', '.join(sorted(known))}.")


def _budget(where: str, table: Any, delta: float) -> Budget:
    """Without a delta of its own, with that one: what is not said is no laxer."""
    parts = _table(table, where)
    _check_known(parts, frozenset({"epsilon", "delta", "own_delta"}), where)
    if "epsilon" not in parts:
        raise InvalidPolicy(f"{where} of the policy needs a number for epsilon.")
    return Budget(**{"delta": delta, **{name: _value(where, name, float, value) for name, value in parts.items()}})


def _limits(where: str, base: Mapping[str, Any], table: Mapping[str, Any]) -> DatasetPolicy:
    kinds = {f.name: type(f.default) for f in fields(DatasetPolicy)}
    _check_known(table, frozenset(kinds) | {_BUDGET}, where)
    given = {name: _value(where, name, kinds[name], value) for name, value in table.items() if name != _BUDGET}
    return DatasetPolicy(**{**base, **given})


_KINDS: Mapping[type, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a name",
    tuple: "a list of names",
}


def _value(where: str, name: str, kind: type, value: Any) -> Any:
    if kind is tuple and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise InvalidPolicy(f"{where}: {name} must be {_KINDS[kind]}.")
    return value


def default_policy_toml() -> str:
    """What a new datasite starts with: safe, and said in full."""
    return _DEFAULT_TOML


_DEFAULT_TOML = """\
# The limits of this hospital. Read afresh for every decision; a misspelt limit is refused.

[defaults]
min_patients = 10               # fewer patients, here or in a group shown: no numbers
min_sites = 3                   # a sum is over at least this many sites
insiders = 1                    # so many sites may know their own noise, and a private request must still hold
local = false                   # true allows private requests to this site alone, with its noise in full
exact = false                   # true allows sums without noise, which carry no formal guarantee
exact_times = false             # true allows exact survival curves at the event times themselves
min_time_step = 30.0            # the finest time grid of an exact survival curve, in the column's unit
max_numbers_per_patient = 12.0  # what exact Plans may release, over all rounds, for each patient here
analyses = []                   # names of the analyses that may be asked; empty allows all
epsilon_per_request = 1.0       # the most that one private request may cost
approval_days = 30.0            # an approval that is not used is void after so many days
requesters = []                 # who may ask; empty allows every researcher of the federation
stewards = 1                    # how many stewards must approve, and clear what code put out
patients = "all"                # whose budget it is: datasets that have a patient in common need the same
epsilon_per_researcher = 3.0    # the most that all private answers to one researcher may cost together
epsilon_per_purpose = 3.0       # the same for one purpose, by its words
auto_approve = []               # built-in analyses approved without a steward, within all these limits; never code
auto_epsilon = 0.0              # the most that a private request may cost to be approved that way
code = []                       # shapes of researchers' code that may be sent: "per-patient", "per-block", "aggregate"
max_patients = 1000             # a public promise that no version has more; code takes time for so many
code_cpu_seconds = 60.0         # the most that one evaluation of code may take
diffprivlib = false             # true allows models of diffprivlib, each with a release decision

[defaults.budget]               # what all private answers together may cost a patient; never given back. What is
epsilon = 3.0                   # raised here takes effect with a renewal: synthema datasite budget renew
delta = 1e-6
own_delta = 0.0                 # the part of delta that is kept for mechanisms with a delta of their own

# [datasets.NAME]               # the same keys, for one dataset
# patients = "GROUP"            # whose patients are in no dataset of another group

# [patients.GROUP]              # their budget
# epsilon = 3.0
"""
