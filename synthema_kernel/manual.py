"""What ``%fed help`` shows."""

from __future__ import annotations

from synthema_kernel.markup import Table
from synthema_kernel.shown import Shown

MANUAL = (
    ("%fed sites", "the hospitals, and whether they are there"),
    ("%fed catalogue [DATASET]", "the datasets on offer, or the columns and limits of one"),
    ("%fed plan ANALYSIS ...", "what `run` would submit, tried on mock data; nothing is submitted"),
    ("%fed run ANALYSIS ...", "submit it for review at every site; returns at once"),
    ("%fed status [NAME]", "your requests, or one with each site's verdict"),
    ("%fed follow [NAME] [--wait SECONDS]", "a live tracker; with --wait, block until released"),
    ("%fed result [NAME] [-o VARIABLE]", "the released result: picture, tables, provenance"),
    ("%fed withdraw NAME", "take a request back before it runs"),
)
OPTIONS = (
    ("--dataset D", "which dataset; see the catalogue"),
    ("--purpose TEXT", "why, in a sentence: the data owners read it"),
    ("--sites a,b,c", "which sites, at least three; all that offer the dataset if left out"),
    ("--name NAME", "what to call the request; ANALYSIS-DATASET if left out"),
    ("--supersedes NAME", "the request this one replaces; reviewers are shown what changed"),
    ("--epsilon E --delta D", "the privacy cost of a private analysis"),
    ("--confidence C", "the coverage of intervals; 0.95 if left out"),
    ("kaplan-meier", "--time T --event E [--group G [--by-levels a,b]] [--step S | --exact-times] [--horizon H]"),
    ("cox", "--time T --event E --covariates a,b,c"),
    ("histogram", "[--column C] [--bins N | --edges a,b,c]"),
)


def manual() -> Shown:
    """The verbs of ``%fed``, then the options of ``plan`` and ``run``."""
    return Shown(
        "%fed",
        [Table(("Line", "What it does"), MANUAL), Table(("Option", "Meaning"), OPTIONS, "Options of plan and run")],
        ["Add -o VARIABLE to keep what a line shows. $name and {expression} are filled in from the notebook."],
    )
