"""Beginning a Budget anew: by stewards of this site, each with passphrase and signature, and never without a reason."""

from __future__ import annotations

from collections.abc import Sequence

from synthema_core import moments
from synthema_core.errors import InvalidInput, NotFound, Refused, TransitionDenied
from synthema_core.journal import Draft
from synthema_core.ledger import Opened
from synthema_core.policy import Policy
from synthema_core.renewal import Renewal
from synthema_datasite.service.decisions import check_text
from synthema_datasite.service.ledger import AGREE, RENEW, Account
from synthema_datasite.service.records import RENEWALS, dataset_records
from synthema_datasite.service.site import Site
from synthema_datasite.service.stewards import unlock


def groups(site: Site, policy: Policy) -> dict[str, list[str]]:
    """The site's Datasets by the group their patients belong to, both in order of their names."""
    found: dict[str, list[str]] = {}
    for name in sorted(dataset_records(site.journal)):
        found.setdefault(policy.patients_of(name), []).append(name)
    return dict(sorted(found.items()))


def renew(site: Site, patients: str, steward: str, passphrase: str, reason: str) -> Renewal:
    """Sign a Renewal of that group's Budget, which then begins anew as the Policy has it now.

    Where the Policy asks for several stewards, it begins with the last of them; all sign the same words, and the first
    can still put others in their place.

    Returns
    -------
    Renewal
        Not `complete` while it waits for another steward.

    Raises
    ------
    NotAuthenticated, NotPermitted
        For a wrong passphrase or name.
    InvalidInput, NotFound
        Without a reason, or with another one than a colleague has signed; for patients that no Dataset here names.
    TransitionDenied, Refused
        If this steward has signed already, or nothing was ever charged; if the Policy gives some patients two Budgets.
    """
    key = unlock(site, steward, passphrase)
    with site.journal.writing() as journal:
        policy = site.state.policy()
        datasets = _datasets(site, policy, patients)
        if any(site.ledger.is_split(journal, policy, name) for name in datasets):
            raise Refused(
                "The policy gives some patients two budgets.", "Give them the same 'patients'.", rule="patients"
            )
        account = site.ledger.account(journal, policy, patients)
        if not account.standing.ever.charges:
            raise TransitionDenied(
                f"Nothing was charged to the patients '{patients}' yet.", "What the policy says holds as it is."
            )
        now = site.decided_at(journal)
        asked = Renewal(
            site=site.name,
            patients=patients,
            number=len(account.renewals) + 1,
            datasets=tuple(datasets),
            opened=Opened.of(policy.budget_of(patients)),
            reason=check_text(reason.strip(), "The reason"),
            decided_at=now,
            stewards_needed=max(policy.for_dataset(name).stewards for name in datasets),
        )
        signed = _to_sign(account, asked, steward, _days(policy, datasets)).signed(steward, key)
        kind = RENEW if signed.complete else AGREE
        journal.append(Draft(RENEWALS + patients, kind, steward, now, signed.to_dict()))
    return signed


def waiting(site: Site, policy: Policy, account: Account) -> Renewal | None:
    """The one that another steward can still sign: not one that has been overtaken by the Policy, or by time."""
    pending, days = account.pending, _days(policy, account.datasets)
    if pending is None or moments.read(moments.days_later(pending.decided_at, days)) <= site.clock():
        return None
    needed = max(policy.for_dataset(name).stewards for name in account.datasets)
    as_before = (pending.opened.budget, pending.datasets) == (policy.budget_of(account.patients), account.datasets)
    return pending if as_before and pending.stewards_needed >= needed else None


def _datasets(site: Site, policy: Policy, patients: str) -> list[str]:
    here = groups(site, policy)
    if patients not in here:
        raise NotFound(f"No dataset of this site is about the patients '{patients}'.", f"There are {', '.join(here)}.")
    return here[patients]


def _days(policy: Policy, datasets: Sequence[str]) -> float:
    """A signature is good for as long as an approval is."""
    return min(policy.for_dataset(name).approval_days for name in datasets)


def _to_sign(account: Account, asked: Renewal, steward: str, days: float) -> Renewal:
    """What a colleague has begun, if it still says what this site is about to do; else what is asked."""
    pending = account.pending
    if pending is None or not _is_current(pending, asked, days):
        return asked
    same = pending.reason == asked.reason
    if steward not in pending.signatures:
        if not same:
            raise InvalidInput(
                f"{_names(pending)} signed a renewal with the reason '{pending.reason}', and this is another.",
                "Give the same --reason to sign it too, or talk.",
            )
        return pending
    if same:
        raise TransitionDenied(f"{steward} has signed already.", "It takes another steward of the site.")
    return asked


def _is_current(pending: Renewal, asked: Renewal, days: float) -> bool:
    return (
        (pending.number, pending.datasets, pending.opened) == (asked.number, asked.datasets, asked.opened)
        and pending.stewards_needed >= asked.stewards_needed
        and moments.read(asked.decided_at) < moments.read(moments.days_later(pending.decided_at, days))
    )


def _names(renewal: Renewal) -> str:
    return " and ".join(renewal.signatures)
