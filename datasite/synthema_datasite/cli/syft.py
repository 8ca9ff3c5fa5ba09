"""`synthema datasite syft import-dataset | export-request | import-request`: what crosses over from and to syft."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from synthema_core.canonical import Json
from synthema_core.cli.whoami import account
from synthema_core.errors import InvalidInput
from synthema_datasite.cli.arguments import find, leaf, request, site_of


def verbs(datasite: Any) -> None:
    help_text = "datasets from syft, and requests from and to it; approval in syft is none here"
    syft = datasite.add_parser("syft", help=help_text, description=help_text).add_subparsers(
        title="verbs", metavar="VERB", required=True
    )
    _import_dataset_verb(syft)
    _export_request_verb(syft)
    _import_request_verb(syft)


def _import_dataset_verb(commands: Any) -> None:
    parser = leaf(
        commands, "import-dataset", _import_dataset, "take a syft dataset's private table in, as `ingest` does"
    )
    parser.add_argument("syftbox", type=Path, metavar="SYFTBOX", help="the SyftBox folder")
    parser.add_argument("--owner", required=True, metavar="EMAIL", help="whose dataset: a folder in the SyftBox")
    parser.add_argument("--name", required=True, help="the dataset's name in syft")
    parser.add_argument("--as", dest="named", default="", metavar="NAME", help="its name here, if another")
    parser.add_argument("--schema", required=True, type=Path, metavar="FILE", help="types, ranges, units (YAML)")


def _import_dataset(arguments: argparse.Namespace) -> int:
    from synthema_datasite.syft_bridge import import_dataset

    record = import_dataset(
        site_of(arguments),
        arguments.syftbox,
        arguments.owner,
        arguments.name,
        arguments.schema,
        account(),
        named=arguments.named,
    )
    facts = record.facts
    print(
        f"'{facts.name}' is now version {facts.version}: {facts.patients} patients, {len(facts.schema.fields)} columns."
        " syft's mock was not read: the one that is offered here is made from the schema."
    )
    return 0


def _export_request_verb(commands: Any) -> None:
    parser = request(leaf(commands, "export-request", _export_request, "write a request for code as a job of syft"))
    parser.add_argument("folder", type=Path, help="a new folder; with --for, a new file")
    _envelope_options(parser, "for", "seal it for the owner of this bundle")


def _envelope_options(parser: argparse.ArgumentParser, whose: str, help_text: str) -> None:
    parser.add_argument(f"--{whose}", dest="peer", type=Path, metavar="BUNDLE", help=f"{help_text} (JSON)")
    parser.add_argument("--identity", type=Path, metavar="FILE", help="your crypto_keys.json of syft, for that")


def _export_request(arguments: argparse.Namespace) -> int:
    from synthema_core.analyses import from_plan
    from synthema_core.code.questions import CodeQuestion
    from synthema_datasite.syft_bridge import export_files, write_envelope, write_job

    record = find(site_of(arguments), arguments.request)
    question = from_plan(record.plan.analysis, record.plan.parameters)
    if not isinstance(question, CodeQuestion):
        raise InvalidInput("This request is no code: there is nothing to put into a job.", "See `review show`.")
    files = export_files(record.plan, question, record.request.id, record.name)
    whom = ""
    if _sealed(arguments):
        whom = f", sealed for {write_envelope(arguments.folder, files, arguments.identity, arguments.peer)}"
    else:
        write_job(arguments.folder, files)
    print(f"Wrote {record.request.id} to {arguments.folder}{whom}. An approval in syft is no approval here.")
    return 0


def _import_request_verb(commands: Any) -> None:
    help_text = "draft the %%remote cell that asks what a syft job asks; nothing of the job is run"
    parser = commands.add_parser("import-request", help=help_text.replace("%", "%%"), description=help_text)
    parser.add_argument("folder", type=Path, help="the job's folder; with --from, an envelope")
    parser.add_argument(
        "--to", type=Path, metavar="DIR", help="write cell and helpers to a new folder, not as JSON here"
    )
    _envelope_options(parser, "from", "the envelope's sender")
    parser.set_defaults(run=_import_request)


def _import_request(arguments: argparse.Namespace) -> int:
    from synthema_datasite.syft_bridge import read_draft, read_envelope, read_job, write_draft

    sender = ""
    if _sealed(arguments):
        peer, files = read_envelope(arguments.folder, arguments.identity, arguments.peer)
        sender = str(peer)
    else:
        files = read_job(arguments.folder)
    draft = read_draft(files)
    if arguments.to is not None:
        write_draft(arguments.to, draft)
        print(f"Wrote the draft to {arguments.to}. Read it, complete its first line, and submit it as your own.")
        return 0
    told: dict[str, Json] = {**draft.to_dict(), "signed_by": sender}
    print(json.dumps(told, indent=2))  # ASCII only: what others wrote cannot draw on the terminal
    return 0


def _sealed(arguments: argparse.Namespace) -> bool:
    if (arguments.peer is None) != (arguments.identity is None):
        raise InvalidInput("An envelope takes a bundle and --identity.", "Give both, or neither.")
    return arguments.peer is not None
