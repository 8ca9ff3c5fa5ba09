"""The Ledger of a site, as its Journal says: read once, and then only what the Journal has grown by.

A Budget belongs to a group of patients (`patients` in the Policy): all versions of a Dataset, and all Datasets of the
group, share it. Charges are kept by Dataset, and a group's total is taken over the Datasets that are in it now: whoever
moves a Dataset to another group takes its Charges, and the Budget it was opened under, along.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from synthema_core.errors import IntegrityFailure
from synthema_core.journal import Entry, Head
from synthema_core.ledger import Budget, Charge, Filter, Opened, Spent, Standing, folded_purpose
from synthema_core.policy import Policy
from synthema_core.ports import JournalReader
from synthema_core.privacy.mechanisms import Mechanism
from synthema_core.renewal import Renewal
from synthema_core.request_record import REQUESTS
from synthema_datasite.service.records import BUDGETS, CHARGE, DATASETS, OPEN, RENEWALS, STEWARDS

RENEW, AGREE = "renew", "agree"
_STREAMS = (BUDGETS, RENEWALS, DATASETS, STEWARDS)
_NOTHING = Spent.nothing()
_Key = TypeVar("_Key")


@dataclass(slots=True)
class _Account:
    """What the Charges to one Dataset come to; since its last renewal, but for `ever` and `mechanisms`.

    Under None are Charges of whom nobody knows who asked, or for what: they count for everybody.
    """

    opened: Opened | None = None
    spent: Spent = _NOTHING
    ever: Spent = _NOTHING
    by_requester: dict[str | None, Spent] = field(default_factory=dict)
    by_purpose: dict[str | None, Spent] = field(default_factory=dict)
    by_request: dict[str, Spent] = field(default_factory=dict)
    mechanisms: dict[Mechanism, int] = field(default_factory=dict)

    def add(self, charge: Charge, cost: Spent, requester: str | None, purpose: str | None) -> None:
        self.by_requester[requester] = self.by_requester.get(requester, _NOTHING) + cost
        self.by_purpose[purpose] = self.by_purpose.get(purpose, _NOTHING) + cost
        if not charge.reading:
            self.spent, self.ever = self.spent + cost, self.ever + cost
            self.by_request[charge.request] = self.by_request.get(charge.request, _NOTHING) + cost
            self.mechanisms[charge.mechanism] = self.mechanisms.get(charge.mechanism, 0) + 1

    def renew(self, opened: Opened) -> None:
        self.opened, self.spent = opened, _NOTHING
        for parts in (self.by_requester, self.by_purpose, self.by_request):
            parts.clear()


@dataclass(frozen=True, slots=True)
class Account:
    """All about one group of patients.

    Parameters
    ----------
    by_requester, by_purpose, by_request
        Since the last renewal; purposes by their folded words, and the first two with what was only read again.
    mechanisms
        How often each was charged, ever.
    pending
        A renewal that waits for another steward's signature.
    """

    patients: str
    datasets: tuple[str, ...]
    standing: Standing
    by_requester: Mapping[str | None, Spent]
    by_purpose: Mapping[str | None, Spent]
    by_request: Mapping[str, Spent]
    mechanisms: Mapping[Mechanism, int]
    renewals: tuple[Renewal, ...]
    pending: Renewal | None


@dataclass(frozen=True, slots=True)
class Look:
    """What the decision about one more Charge rests on.

    Parameters
    ----------
    requester, purpose
        What that researcher, and that purpose, have cost these patients since the last renewal.
    opened
        Whether the Dataset's Budget has begun.
    """

    standing: Standing
    requester: Spent
    purpose: Spent
    opened: bool


class Ledger:
    """One for each process, however many share the Journal. Safe for several threads.

    Every method is given the reader to look through: a transaction's own, where what is seen must still hold when the
    next Charge is appended. What was folded from a transaction that was then rolled back shows by its digest, and the
    Journal is read anew.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._costs: dict[Mechanism, Spent] = {}
        self._forget()

    def look(self, journal: JournalReader, policy: Policy, dataset: str, requester: str, purpose: str) -> Look:
        """Where the patients of that Dataset stand."""
        patients, words = policy.patients_of(dataset), folded_purpose(purpose)
        with self._lock:
            self._catch_up(journal)
            accounts = self._group(policy, patients, dataset)
            return Look(
                self._standing(policy, patients, accounts.values()),
                _total(
                    account.by_requester.get(who, _NOTHING)
                    for account in accounts.values()
                    for who in (requester, None)
                ),
                _total(
                    account.by_purpose.get(what, _NOTHING) for account in accounts.values() for what in (words, None)
                ),
                accounts[dataset].opened is not None,
            )

    def account(self, journal: JournalReader, policy: Policy, patients: str) -> Account:
        """Everything about a group, as it is now."""
        with self._lock:
            self._catch_up(journal)
            accounts = self._group(policy, patients)
            return Account(
                patients=patients,
                datasets=tuple(accounts),
                standing=self._standing(policy, patients, accounts.values()),
                by_requester=_merged(account.by_requester for account in accounts.values()),
                by_purpose=_merged(account.by_purpose for account in accounts.values()),
                by_request=_merged(account.by_request for account in accounts.values()),
                mechanisms=_counted(account.mechanisms for account in accounts.values()),
                renewals=tuple(self._renewals.get(patients, ())),
                pending=self._pending.get(patients),
            )

    def is_split(self, journal: JournalReader, policy: Policy, dataset: str) -> bool:
        """Whether the Policy gives a patient of this Dataset two Budgets: by another Dataset that shares patients."""
        with self._lock:
            self._catch_up(journal)
            group = policy.patients_of(dataset)
            return any(policy.patients_of(other) != group for other in self._overlaps.get(dataset, ()))

    def _group(self, policy: Policy, patients: str, *also: str) -> dict[str, _Account]:
        names = {name for name in self._accounts if policy.patients_of(name) == patients}
        return {name: self._accounts.get(name) or _Account() for name in sorted({*names, *also})}

    def _standing(self, policy: Policy, patients: str, accounts: Iterable[_Account]) -> Standing:
        """Under every Budget that one of the Datasets was opened under, and the Policy's of today."""
        now, accounts = policy.budget_of(patients), list(accounts)
        opened = [account.opened for account in accounts if account.opened is not None]
        budget = now
        for one in opened:
            budget = budget.least(one.budget)
        filters = dict.fromkeys([*(one.filter for one in opened), _filter_of(now)])
        return Standing(
            budget,
            tuple(filters),
            _total(account.spent for account in accounts),
            _total(account.ever for account in accounts),
        )

    # Folding

    def _forget(self) -> None:
        self._folded = self._scanned = Head()
        self._accounts: dict[str, _Account] = {}
        self._overlaps: dict[str, set[str]] = {}
        self._stewards: dict[str, str] = {}
        self._renewals: dict[str, list[Renewal]] = {}
        self._pending: dict[str, Renewal] = {}

    def _catch_up(self, journal: JournalReader) -> None:
        if not _holds(journal, self._folded):  # another Journal is in its place, or a Charge was rolled back
            self._forget()
        start = self._scanned if _holds(journal, self._scanned) else self._folded
        head = journal.head()
        if head == start:
            return
        for entry in journal.grown(start.sequence, _STREAMS):
            if entry.sequence > self._folded.sequence:
                self._take(journal, entry)
                self._folded = Head(entry.sequence, entry.digest)
        self._scanned = head

    def _take(self, journal: JournalReader, entry: Entry) -> None:
        body: Mapping[str, Any] = entry.body
        if entry.stream == STEWARDS:
            self._stewards[body["name"]] = body["key"]
        elif entry.stream.startswith(DATASETS):
            self._take_dataset(entry.stream.removeprefix(DATASETS), body)
        elif entry.stream.startswith(BUDGETS):
            self._take_charge(journal, entry.stream.removeprefix(BUDGETS), entry)
        else:
            self._take_renewal(entry.stream.removeprefix(RENEWALS), entry)

    def _take_dataset(self, name: str, body: Mapping[str, Any]) -> None:
        """A version that was taken in before overlaps were recorded shares patients with all that were there."""
        self._accounts.setdefault(name, _Account())
        for other in body.get("overlaps", [one for one in self._accounts if one != name]):
            self._overlaps.setdefault(name, set()).add(other)
            self._overlaps.setdefault(other, set()).add(name)

    def _take_charge(self, journal: JournalReader, dataset: str, entry: Entry) -> None:
        account = self._accounts.setdefault(dataset, _Account())
        if entry.kind == CHARGE:
            charge = Charge.from_dict(entry.body)
            if charge.dataset != dataset:
                raise IntegrityFailure("A charge of the ledger is filed under another dataset.")
            requester, purpose = _asked(journal, charge)
            account.add(charge, self._cost(charge.mechanism), requester, purpose)
        elif entry.kind == OPEN and account.opened is None:
            account.opened = Opened.from_dict(entry.body)
        else:
            raise IntegrityFailure(
                "The ledger has an entry that is neither a charge nor the first opening of a budget."
            )

    def _take_renewal(self, patients: str, entry: Entry) -> None:
        renewal, past = Renewal.from_dict(entry.body), self._renewals.setdefault(patients, [])
        renewal.check_signatures(self._stewards)
        if (renewal.patients, renewal.number) != (patients, len(past) + 1):
            raise IntegrityFailure("A renewal of the ledger is filed under another group, or out of turn.")
        if entry.kind == RENEW and renewal.complete:
            past.append(renewal)
            self._pending.pop(patients, None)
            for name in renewal.datasets:
                self._accounts.setdefault(name, _Account()).renew(renewal.opened)
        elif entry.kind == AGREE:
            self._pending[patients] = renewal
        else:
            raise IntegrityFailure("A renewal of the ledger lacks a steward's signature.")

    def _cost(self, mechanism: Mechanism) -> Spent:
        """The same mechanism is charged again and again: its curve is computed once."""
        if mechanism not in self._costs:
            self._costs[mechanism] = Spent.of(mechanism)
        return self._costs[mechanism]


def _holds(journal: JournalReader, head: Head) -> bool:
    return not head.sequence or journal.digest_at(head.sequence) == head.digest


def _filter_of(budget: Budget) -> Filter:
    return Opened.of(budget).filter


def _total(parts: Iterable[Spent]) -> Spent:
    return sum(parts, _NOTHING)


def _merged(parts: Iterable[Mapping[_Key, Spent]]) -> dict[_Key, Spent]:
    total: dict[_Key, Spent] = {}
    for part in parts:
        for key, spent in part.items():
            total[key] = total.get(key, _NOTHING) + spent
    return total


def _counted(parts: Iterable[Mapping[Mechanism, int]]) -> dict[Mechanism, int]:
    total: dict[Mechanism, int] = {}
    for part in parts:
        for mechanism, count in part.items():
            total[mechanism] = total.get(mechanism, 0) + count
    return total


def _asked(journal: JournalReader, charge: Charge) -> tuple[str | None, str | None]:
    """Who asked and for what, folded: by the Charge, or by its Request's Plan where it is an old one."""
    if charge.requester:
        return charge.requester, folded_purpose(charge.purpose)
    entries = journal.entries(REQUESTS + charge.request)
    detail: Any = entries[0].body["detail"] if entries else None
    plan = detail.get("plan") if isinstance(detail, dict) else None
    return (str(plan["requester"]), folded_purpose(str(plan["purpose"]))) if isinstance(plan, dict) else (None, None)
