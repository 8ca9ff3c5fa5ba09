"""What ``%fed help`` shows."""

from __future__ import annotations

from synthema_kernel.listing import listed
from synthema_kernel.markup import Table
from synthema_kernel.shown import Shown

MANUAL = (
    ("%fed sites", "the hospitals, and whether they are there"),
    ("%fed catalogue [DATASET]", "the datasets on offer, or the columns and limits of one"),
    ("%fed analyses", "the questions that can be asked"),
    ("%fed describe ANALYSIS", "what it answers, its options, its forms, an example"),
    ("%fed budget [DATASET] [--epsilon E]", "each site's privacy budget; or what one request of that cost would leave"),
    ("%fed budget [DATASET] --slider", "the same as a gauge on which you choose the cost"),
    ("%fed plan ANALYSIS ...", "what `run` would submit, tried on mock data; nothing is submitted"),
    ("%fed plan ANALYSIS ... --patients N,M", "the same, and how wide intervals of a private one would be"),
    ("%fed run ANALYSIS ... [--dry-run]", "submit it for review at every site; returns at once"),
    ("%%remote ... [--dry-run]", "submit the functions in the cell below it; they are not run here"),
    ("%fed status [NAME]", "your requests, or one with each site's verdict and questions"),
    ("%fed follow [NAME] [--wait SECONDS]", "a live tracker; with --wait, block until released"),
    ("%fed answer NAME TEXT", "answer what a steward asked"),
    ("%fed diff NAME [OTHER]", "what changed since the request it supersedes, or since OTHER"),
    ("%fed resubmit NAME [--purpose ...]", "the same question once more, in the place of that one"),
    ("%fed result [NAME] [-o VARIABLE]", "the released result: picture, tables, provenance"),
    ("%fed logs NAME", "what stewards shared of what your code printed"),
    ("%fed withdraw NAME", "take a request back before it runs"),
)
OPTIONS = (
    ("--dataset D", "which dataset; see the catalogue"),
    ("--purpose TEXT", "why, in a sentence: the data owners read it"),
    ("--sites a,b,c", "which sites, at least three; all that offer the dataset if left out"),
    ("--name NAME", "what to call the request; ANALYSIS-DATASET or FUNCTION-DATASET if left out"),
    ("--supersedes NAME", "the request this one replaces; reviewers are shown what changed"),
    ("--epsilon E --delta D", "the privacy cost of a private question; 1 and 1e-6 if left out"),
    ("--standard-error S", "instead of --epsilon: how much noise the released numbers may have, in their own unit"),
    ("--insiders N", "sites that may know their own noise and still learn nothing more; 1 if left out"),
    ("--where CONDITION", "which patients, for example \"age >= 60 and flt3 == '1'\""),
    ('--derive "a = ...; b = ..."', "columns made of others, which the analysis may name"),
    ("--exact", "the exact answer of an analysis whose usual answer has noise, where the sites allow it"),
    ("--dry-run", "show everything, submit nothing"),
    ("--again", "ask anew, and pay anew, what you have an answer to; without it, that answer is shown"),
    ("--confidence C", "the coverage of intervals; 0.95 if left out"),
)
SHAPES = (
    ("per-patient", "one patient's rows -> numbers; they are summed over all patients", "noise: a formal guarantee"),
    ("per-block", "a block's rows -> numbers; their mean over all blocks", "noise: a formal guarantee"),
    ("aggregate", "all rows of a site -> numbers", "a steward of each site looks at them before they are summed"),
)
REMOTE = (
    ("--shape SHAPE", "per-patient, per-block or aggregate"),
    ("--columns a,b", "the columns your function is given, as a pandas DataFrame"),
    (
        '--returns "a=100, c[10]=1"',
        "what it returns: name=bound or name[sizes]=bound; what is larger is cut to its bound",
    ),
    ("--counts a,b", "which of those count patients; reviewers' checks understand them"),
    ("--default a=0", "what counts for a patient or block where the function fails; 0 if left out"),
    ("--function F", "which function is called; `patient`, `block` or `aggregate`, or the last one, if left out"),
    ("--helpers helpers/,scores.py", "modules beside the notebook that travel along; import helpers.scores"),
    ("--blocks N", "blocks at each site, 20 if left out: more blocks, less noise, fewer patients in each"),
    ("--clip C", "the longest vector of a patient or block, in units of the bounds; cuts nothing if left out"),
    ("--cpu-seconds S", "what one evaluation may take: 0.1, 5 or 30 by shape, or what the sites allow, if left out"),
)
EXAMPLE = """%%remote --shape per-patient --dataset bmt --columns z1,d2 --returns "age=80, relapsed=1, n=1" \\
    --counts relapsed,n --purpose "Mean age, and how many relapse"
def patient(rows):
    row = rows.iloc[0]
    return {"age": row.z1, "relapsed": row.d2, "n": 1}"""


def manual() -> Shown:
    """The lines, the options of questions, and code of one's own."""
    return Shown(
        "%fed and %%remote",
        [
            Table(("Line", "What it does"), MANUAL),
            Table(
                ("Option", "Meaning"),
                OPTIONS,
                "Options of plan, run and %%remote; an analysis's own: %fed describe ANALYSIS",
            ),
            Table(("Shape", "Your function", "What protects the patients"), SHAPES, "Code of your own"),
            Table(("Option", "Meaning"), REMOTE, "Options of %%remote"),
            listed(EXAMPLE, "For example"),
        ],
        ["Add -o VARIABLE to keep what a line shows. $name and {expression} are filled in from the notebook."],
    )
