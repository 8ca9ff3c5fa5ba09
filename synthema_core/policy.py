"""A Policy: a site's own limits, written by its engineer in policy.toml and read afresh for every decision."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from synthema_core.canonical import Json, digest
from synthema_core.code.shapes import SHAPES, analysis_name
from synthema_core.errors import InvalidPolicy
from synthema_core.ledger import Budget
from synthema_core.plan import SMALLEST_FEDERATION

_FEWEST_PATIENTS = 3
_LONGEST_APPROVAL_DAYS = 3650.0
_PARTS = frozenset({"defaults", "datasets"})
_BUDGET = "budget"
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
    epsilon_per_researcher
        The most that all private answers to one researcher may cost together.
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
    """

    min_patients: int = 10
    min_sites: int = SMALLEST_FEDERATION
    exact: bool = False
    exact_times: bool = False
    min_time_step: float = 30.0
    max_numbers_per_patient: float = 12.0
    analyses: tuple[str, ...] = ()
    epsilon_per_request: float = 1.0
    approval_days: float = 30.0
    requesters: tuple[str, ...] = ()
    stewards: int = 1
    epsilon_per_researcher: float = 3.0
    auto_approve: tuple[str, ...] = ()
    auto_epsilon: float = 0.0
    code: tuple[str, ...] = ()
    max_patients: int = 1_000
    code_cpu_seconds: float = 60.0

    def __post_init__(self) -> None:
        least = {
            "min_patients": _FEWEST_PATIENTS,
            "min_sites": SMALLEST_FEDERATION,
            "min_time_step": 0,
            "max_numbers_per_patient": 0,
            "epsilon_per_request": 0,
            "approval_days": 0.01,
            "stewards": 1,
            "epsilon_per_researcher": 0,
            "auto_epsilon": 0,
            "max_patients": _FEWEST_PATIENTS,
            "code_cpu_seconds": 0.01,
        }
        for name, limit in least.items():
            if not limit <= getattr(self, name) < float("inf"):
                raise InvalidPolicy(f"The policy's {name} must be at least {limit:g}.")
        if self.approval_days > _LONGEST_APPROVAL_DAYS:
            raise InvalidPolicy(f"The policy's approval_days must be at most {_LONGEST_APPROVAL_DAYS:g}.")
        unknown = sorted(set(self.code) - set(SHAPES))
        if unknown:
            raise InvalidPolicy(f"There is no shape of code '{unknown[0]}'.", f"There are {', '.join(SHAPES)}.")
        if any(name.startswith(analysis_name("")) for name in self.auto_approve):
            raise InvalidPolicy("No code is approved without a steward.", "Name built-in analyses in auto_approve.")

    def public(self) -> dict[str, Json]:
        """What the Card shows: everything but nothing else; a limit that researchers do not know only wastes time."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Policy:
    """A site's limits: for each named Dataset, and for all others."""

    defaults: DatasetPolicy = field(default_factory=DatasetPolicy)
    datasets: Mapping[str, DatasetPolicy] = field(default_factory=dict)
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    default_budget: Budget = _DEFAULT_BUDGET

    def for_dataset(self, name: str) -> DatasetPolicy:
        return self.datasets.get(name, self.defaults)

    def budget(self, name: str) -> Budget:
        """The ceiling for the patients of that Dataset, over all its versions."""
        return self.budgets.get(name, self.default_budget)

    @property
    def digest(self) -> str:
        """Names this Policy in what it decides by itself (`policy:<digest>`)."""
        return digest(
            {
                "defaults": self.defaults.public(),
                "datasets": {name: limits.public() for name, limits in self.datasets.items()},
                "budgets": {name: asdict(budget) for name, budget in self.budgets.items()},
                "default_budget": asdict(self.default_budget),
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
    default_budget = _budget("[defaults]", general, _DEFAULT_BUDGET)
    return Policy(
        defaults=defaults,
        datasets={name: _limits(f"[datasets.{name}]", base, table) for name, table in tables.items()},
        budgets={name: _budget(f"[datasets.{name}]", table, default_budget) for name, table in tables.items()},
        default_budget=default_budget,
    )


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidPolicy(f"{where} of the policy is not a table.", "Write it as [datasets.NAME].")
    return value


def _check_known(table: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise InvalidPolicy(f"{where} has an unknown '{unknown[0]}'.", f"Known are {', '.join(sorted(known))}.")


def _budget(where: str, table: Mapping[str, Any], base: Budget) -> Budget:
    if _BUDGET not in table:
        return base
    budget = _table(table[_BUDGET], f"The budget of {where}")
    _check_known(budget, frozenset({"epsilon", "delta"}), f"The budget of {where}")
    if "epsilon" not in budget:
        raise InvalidPolicy(f"The budget of {where} needs a number for epsilon.")
    given = {name: _value(f"The budget of {where}", name, float, value) for name, value in budget.items()}
    return Budget(**{"delta": base.delta, **given})


def _limits(where: str, base: Mapping[str, Any], table: Mapping[str, Any]) -> DatasetPolicy:
    kinds = {f.name: type(f.default) for f in fields(DatasetPolicy)}
    _check_known(table, frozenset(kinds) | {_BUDGET}, where)
    given = {name: _value(where, name, kinds[name], value) for name, value in table.items() if name != _BUDGET}
    return DatasetPolicy(**{**base, **given})


def _value(where: str, name: str, kind: type, value: Any) -> Any:
    if kind is tuple and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        wanted = {int: "a whole number", float: "a number", bool: "true or false", tuple: "a list of names"}[kind]
        raise InvalidPolicy(f"{where}: {name} must be {wanted}.")
    return value


def default_policy_toml() -> str:
    """What a new datasite starts with: safe, and said in full."""
    return _DEFAULT_TOML


_DEFAULT_TOML = """\
# The limits of this hospital. Read afresh for every decision; a misspelt limit is refused.

[defaults]
min_patients = 10               # fewer patients, here or in a group shown: no numbers
min_sites = 3                   # a sum is over at least this many sites
exact = false                   # true allows sums without noise, which carry no formal guarantee
exact_times = false             # true allows exact survival curves at the event times themselves
min_time_step = 30.0            # the finest time grid of an exact survival curve, in the column's unit
max_numbers_per_patient = 12.0  # what exact Plans may release, over all rounds, for each patient here
analyses = []                   # names of the analyses that may be asked; empty allows all
epsilon_per_request = 1.0       # the most that one private request may cost
approval_days = 30.0            # an approval that is not used is void after so many days
requesters = []                 # who may ask; empty allows every researcher of the federation
stewards = 1                    # how many stewards must approve, and clear what code put out
epsilon_per_researcher = 3.0    # the most that all private answers to one researcher may cost together
auto_approve = []               # built-in analyses approved without a steward, within all these limits; never code
auto_epsilon = 0.0              # the most that a private request may cost to be approved that way
code = []                       # shapes of researchers' code that may be sent: "per-patient", "per-block", "aggregate"
max_patients = 1000             # a public promise that no version has more; code takes time for so many
code_cpu_seconds = 60.0         # the most that one evaluation of code may take

[defaults.budget]               # what all private answers together may cost a patient; never given back
epsilon = 3.0
delta = 1e-6

# [datasets.NAME]               # the same keys, for one dataset
# exact = true
"""
