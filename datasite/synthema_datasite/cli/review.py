"""`synthema datasite review list | show | approve | ask | reject | revoke | policy`: a steward's decisions on Plans."""

from __future__ import annotations

import argparse
import json
import textwrap
import time
from typing import Any

from synthema_core.canonical import Json
from synthema_core.errors import NotFound, SynthemaError
from synthema_core.policy_explained import explain_policy
from synthema_core.request import Status
from synthema_core.request_record import RequestRecord
from synthema_datasite.cli import release
from synthema_datasite.cli.arguments import decision, find, leaf, passphrase, plain, request, site_of
from synthema_datasite.service.decisions import Wait, said_yes, waits_for
from synthema_datasite.service.records import dataset_records
from synthema_datasite.service.reviewing import Reviewing
from synthema_datasite.service.site import Site
from synthema_datasite.service.staging import staged_output

_LOOK_SECONDS = 0.3


def verbs(datasite: Any) -> None:
    review = datasite.add_parser("review", help="read and decide requests").add_subparsers(
        title="verbs", metavar="VERB", required=True
    )
    parser = leaf(review, "list", _list, "the requests that wait for a decision")
    parser.add_argument("--all", action="store_true", help="also those that wait for nobody here")
    parser.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="wait that long for one to come")
    parser.add_argument("--json", action="store_true", help="for programs")
    request(leaf(review, "show", _show, "everything about one request"))
    _approve_verb(review)
    ask = decision(leaf(review, "ask", _ask, "put a question to the researcher"))
    ask.add_argument("--text", required=True, help="a question the researcher can answer")
    reject = decision(leaf(review, "reject", _reject, "sign a rejection"))
    reject.add_argument("--reason", required=True, help="a sentence the researcher can act on")
    decision(leaf(review, "revoke", _revoke, "take this site's yes back before the run, or the sum, starts"))
    release.verbs(review)
    policy = leaf(review, "policy", _policy, "this site's rules for a dataset, in words")
    policy.add_argument("dataset", nargs="?", default="", help="else each of them")


def _approve_verb(review: Any) -> None:
    approve = decision(leaf(review, "approve", _approve, "sign an approval for one run"))
    approve.add_argument("--reason", default="", help="a remark for the record")
    approve.add_argument("--until-days", type=float, metavar="DAYS", help="the approval ends after so many days")
    approve.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="OUTPUT",
        help="an output of the code, or a cell such as deaths[2], that this site does not give; may be repeated",
    )


def _list(arguments: argparse.Namespace) -> int:
    reviewing = Reviewing(site_of(arguments))
    deadline = time.monotonic() + arguments.wait
    records = reviewing.all() if arguments.all else reviewing.waiting()
    while not records and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        records = reviewing.all() if arguments.all else reviewing.waiting()
    if arguments.json:
        print(json.dumps([_line(reviewing.site, record) for record in records]))
        return 0
    for record in records:
        line = {name: plain(str(text)) for name, text in _line(reviewing.site, record).items()}
        print(
            f"{line['id']}  {line['waits_for'] or line['status']:<16}  {line['requester']:<12}  {line['analysis']:<16}"
            f"  {line['purpose']}"
        )
    if not records:
        print("No request is waiting.")
    return 0


def _line(site: Site, record: RequestRecord) -> dict[str, Json]:
    waits = waits_for(record)
    line: dict[str, Json] = {
        "id": record.request.id,
        "status": record.request.status.value,
        "waits_for": waits.value,
        "said_yes": list[Json](sorted(said_yes(record, site.name))),
        "requester": record.plan.requester,
        "analysis": record.plan.analysis,
        "purpose": record.plan.purpose,
        "plan_digest": record.plan.digest,
    }
    return {**line, **_output(site, record)} if waits is Wait.RELEASE else line


def _output(site: Site, record: RequestRecord) -> dict[str, Json]:
    """What a release decision names; empty where it cannot be read, and then nothing can be released."""
    try:
        staged = staged_output(site, record)
    except SynthemaError:
        return {"output": "", "suggestion": []}
    return {"output": staged.commitment, "suggestion": list[Json](staged.suggestion)}


def _show(arguments: argparse.Namespace) -> int:
    from synthema_datasite.cli.showing import request_text

    site = site_of(arguments)
    for line in request_text(site, find(site, arguments.request)):
        print(line)
    return 0


def _approve(arguments: argparse.Namespace) -> int:
    reviewing = Reviewing(site_of(arguments))
    identifier = find(reviewing.site, arguments.request).request.id
    review = reviewing.approve(
        identifier,
        arguments.steward,
        passphrase(arguments),
        plan_digest=arguments.plan,
        reason=arguments.reason,
        until_days=arguments.until_days,
        without=arguments.without,
    )
    if reviewing.get(identifier).request.status is Status.UNDER_REVIEW:
        print(f"Signed. It takes {review.stewards_needed} stewards of this site: {identifier} waits for another.")
    else:
        what = f"reading the stored answer of {review.answered_by}" if review.answered_by else "one run"
        print(f"Approved {identifier} for {what} until {review.expires_at}.")
    return 0


def _ask(arguments: argparse.Namespace) -> int:
    reviewing = Reviewing(site_of(arguments))
    identifier = find(reviewing.site, arguments.request).request.id
    reviewing.ask(identifier, arguments.steward, passphrase(arguments), arguments.text, plan_digest=arguments.plan)
    print(f"Asked. The researcher will read your question, and {identifier} goes on waiting.")
    return 0


def _reject(arguments: argparse.Namespace) -> int:
    reviewing = Reviewing(site_of(arguments))
    identifier = find(reviewing.site, arguments.request).request.id
    reviewing.reject(identifier, arguments.steward, passphrase(arguments), arguments.reason, plan_digest=arguments.plan)
    print(f"Rejected {identifier}. The researcher will read your reason.")
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    reviewing = Reviewing(site_of(arguments))
    identifier = find(reviewing.site, arguments.request).request.id
    reviewing.revoke(identifier, arguments.steward, passphrase(arguments), plan_digest=arguments.plan)
    print(f"Took this site's yes to {identifier} back.")
    return 0


def _policy(arguments: argparse.Namespace) -> int:
    site = site_of(arguments)
    here, policy = sorted(dataset_records(site.journal)), site.state.policy()
    if arguments.dataset and arguments.dataset not in here:
        raise NotFound(f"There is no dataset '{arguments.dataset}' at this site.", f"There are {', '.join(here)}.")
    for dataset in [arguments.dataset] if arguments.dataset else here:
        print(f"{dataset}")
        for rule in explain_policy(policy, dataset):
            print(f"  {rule.rule} = {plain(rule.value)}")
            print(textwrap.indent(textwrap.fill(plain(rule.sentence), 110), "      "))
    return 0
