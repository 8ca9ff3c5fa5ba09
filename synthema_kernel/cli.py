"""The verb ``synthema report``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from synthema_core.errors import InvalidInput


def verbs(commands: Any) -> None:
    """Register the kernel's verbs. Called by the ``synthema`` command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "report",
        help="run a report template over released results, and write one HTML file",
        description="Run a notebook over released results and write one HTML file that opens without a network.",
    )
    parser.add_argument("template", metavar="TEMPLATE", help="the name of a packaged template, or a notebook's path")
    parser.add_argument(
        "-p",
        "--parameter",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a value for the template's parameters, read as YAML; may be repeated",
    )
    parser.add_argument("--output", metavar="FOLDER", type=Path, required=True, help="where to write the report")
    parser.add_argument("--show-code", action="store_true", help="include the notebook's code")
    parser.add_argument("--pdf", action="store_true", help="also print a PDF beside it, where Chromium is installed")
    parser.set_defaults(run=report)


def report(arguments: argparse.Namespace) -> int:
    """Write the report and print its path; with ``--pdf``, that of the PDF too."""
    from synthema_kernel.reports import find_template, print_pdf, run_report
    from synthema_kernel.settings import Settings

    Settings.from_environment(os.environ)  # say so now rather than from inside the kernel
    page = run_report(
        find_template(arguments.template),
        read_parameters(arguments.parameter),
        arguments.output,
        os.environ,
        show_code=arguments.show_code,
    )
    print(page)
    if arguments.pdf:
        print(print_pdf(page))
    return 0


def read_parameters(pairs: Sequence[str]) -> dict[str, Any]:
    """``name=value`` pairs; values are YAML, so that numbers, lists and truth values can be given.

    Raises
    ------
    InvalidInput
        For a pair without a name or a value that is no YAML.
    """
    parameters: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise InvalidInput(f"'{pair}' is not a parameter.", "Write -p name=value.")
        try:
            parameters[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise InvalidInput(f"The value of the parameter '{name}' cannot be read.", "Put it in quotes.") from None
    return parameters
