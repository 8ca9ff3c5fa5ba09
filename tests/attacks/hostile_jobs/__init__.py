"""Jobs that mean harm. Each is a file of code; the table says what it attempts and what has to be found or to stop it.

Vetting finds most of them. Those that pass were written to: they are why it is not the boundary. Some do not run at
all under the sandbox; that is what the sandbox is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from support.job_tables import Job
from synthema_core.vetting import Kind, Severity

_FOLDER = Path(__file__).parent
_DANGER, _LOOK = Severity.DANGER, Severity.LOOK
_AGE = (("mean_age", (), 60.0, "numbers"),)
_PER_PATIENT, _PER_BLOCK, _AGGREGATE = "per-patient", "per-block", "aggregate"
_Outputs = tuple[tuple[str, tuple[int, ...], float, str], ...]


def _found(
    name: str,
    does: str,
    kinds: Mapping[Kind, Severity],
    columns: str = "z1",
    outputs: _Outputs = _AGE,
) -> Job:
    return Job(_FOLDER / f"{name}.py", _AGGREGATE, does, tuple(columns.split()), outputs, kinds)


def _passes(name: str, does: str, stopped_by: str, columns: str, outputs: _Outputs, shape: str = _AGGREGATE) -> Job:
    file = _FOLDER / f"passes_{name}.py"
    return Job(file, shape, does, tuple(columns.split()), outputs, passes_static=True, stopped_by=stopped_by)


JOBS = (
    _found("network_socket", "sends the ages to another machine", {Kind.NETWORK: _DANGER}),
    _found(
        "shell_behind_aliases",
        "runs a command through two aliases of os.system",
        {Kind.FILES: _DANGER, Kind.PROCESS: _DANGER},
    ),
    _found(
        "path_alias",
        "looks for other datasets on the disk",
        {Kind.FILES: _DANGER},
        "z1",
        (("found", (), 1.0, "numbers"),),
    ),
    _found(
        "getattr_computed",
        "reaches read_csv by a computed name",
        {Kind.DYNAMIC: _DANGER},
        "z1",
        (("lines", (), 1000.0, "numbers"),),
    ),
    _found(
        "words_in_pieces",
        "takes eval out of the builtins, its name in two pieces",
        {Kind.DYNAMIC: _DANGER, Kind.DUNDER: _DANGER},
    ),
    _found(
        "import_by_text",
        "imports subprocess, its name written backwards",
        {Kind.DYNAMIC: _DANGER, Kind.PROCESS: _DANGER},
    ),
    _found("encoded_program", "carries its program as base64", {Kind.DYNAMIC: _DANGER, Kind.OPAQUE: _DANGER}),
    _found("pickled_program", "loads an object that runs a command", {Kind.PICKLE: _DANGER, Kind.OPAQUE: _LOOK}),
    _found("machine_code", "calls the C library", {Kind.NATIVE: _DANGER}, "z1", (("uid", (), 1000000.0, "numbers"),)),
    _found(
        "raw_memory",
        "reads memory beyond an array",
        {Kind.NATIVE: _DANGER},
        "z1",
        (("sums", (8,), 1000000000.0, "numbers"),),
    ),
    _found("processes", "leaves a process and a thread behind", {Kind.PROCESS: _DANGER}),
    _found(
        "other_files",
        "reads the environment and /etc/passwd with numpy and pandas",
        {Kind.FILES: _DANGER},
        "z1",
        (("read", (2,), 1000000.0, "numbers"),),
    ),
    _found("writes_files", "writes the rows to files", {Kind.FILES: _DANGER}),
    _found(
        "module_within_library",
        "lists the root folder through the os inside pandas",
        {Kind.DYNAMIC: _DANGER, Kind.FILES: _DANGER},
        "z1",
        (("entries", (), 1000.0, "numbers"),),
    ),
    _found("subclass_walk", "walks from a tuple to os.system", {Kind.DUNDER: _DANGER}),
    _found(
        "pattern_reaches_in",
        "reads globals through str.format",
        {Kind.DYNAMIC: _DANGER, Kind.DUNDER: _DANGER},
        "z1",
        (("length", (), 1000000.0, "numbers"),),
    ),
    _found(
        "match_reads_internals",
        "reads __class__ through a match pattern",
        {Kind.DUNDER: _DANGER},
        "z1",
        (("bases", (), 100.0, "numbers"),),
    ),
    _found(
        "query_text", "runs text by DataFrame.query", {Kind.DYNAMIC: _DANGER}, "t2 z1", (("age", (), 60.0, "numbers"),)
    ),
    _found(
        "patched_library", "replaces numpy.mean by 'the first value'", {Kind.PATCHING: _DANGER, Kind.ROW_LEVEL: _LOOK}
    ),
    _found("shadowed_builtin", "defines a sum that is none", {Kind.PATCHING: _LOOK, Kind.ROW_LEVEL: _DANGER}),
    _found("entry_defined_twice", "shows one function, has another called", {Kind.SIGNATURE: _DANGER}),
    _found("bidirectional_text", "hides code by right-to-left marks", {Kind.HIDDEN_TEXT: _DANGER}),
    _found("lookalike_name", "calls a function whose name has a Cyrillic letter", {Kind.HIDDEN_TEXT: _DANGER}),
    _found("metaclass", "computes in a metaclass", {Kind.CLASSES: _DANGER}),
    _found("subclass_hook", "computes in __init_subclass__", {Kind.CLASSES: _DANGER, Kind.DUNDER: _DANGER}),
    _found("error_text", "raises an error that lists the ages", {Kind.LEAK: _LOOK}),
    _found("prints_rows", "prints the rows and warns with a value", {Kind.OUTPUT: _LOOK, Kind.ROW_LEVEL: _LOOK}),
    _found(
        "one_known_patient",
        "asks for the age of the one patient with a known follow-up",
        {Kind.SINGLING_OUT: _LOOK},
        "t2 z1",
        (("age", (), 60.0, "numbers"),),
    ),
    _found(
        "named_patient",
        "asks for a patient by identifier",
        {Kind.IDENTIFIER: _DANGER, Kind.SINGLING_OUT: _LOOK},
        "patient z1",
        (("age", (), 60.0, "numbers"),),
    ),
    _found(
        "first_rows",
        "returns the first twenty rows",
        {Kind.ROW_LEVEL: _DANGER},
        "t2 d3 z1",
        (("table", (20, 3), 3000.0, "numbers"),),
    ),
    _found(
        "whole_column",
        "returns a column, through a function and two names",
        {Kind.ROW_LEVEL: _DANGER},
        "z1",
        (("profile", (100,), 60.0, "numbers"),),
    ),
    _found(
        "extremes",
        "returns largest and smallest values",
        {Kind.EXTREME: _LOOK},
        "t2 z1",
        (("oldest", (), 60.0, "numbers"), ("youngest", (), 60.0, "numbers"), ("longest", (), 3000.0, "numbers")),
    ),
    _found(
        "sorted_ends",
        "returns the ends of a sorted column",
        {Kind.SORTING: _LOOK},
        "z1",
        (("ends", (2,), 60.0, "numbers"),),
    ),
    _found(
        "own_noise",
        "adds noise from a seed the researcher knows",
        {Kind.NOISE: _LOOK, Kind.ROW_LEVEL: _DANGER},
        "z1",
        (("ages", (100,), 100000.0, "numbers"),),
    ),
    _found("clock", "waits as long as a patient is old", {Kind.TIME: _LOOK}, "z1", (("one", (), 1.0, "numbers"),)),
    _found(
        "kept_between_calls",
        "collects patients over evaluations",
        {Kind.STATE: _LOOK, Kind.SIGNATURE: _LOOK},
        "z1",
        (("value", (), 60.0, "numbers"),),
    ),
    _found(
        "swallows_errors",
        "posts the rows, and says nothing if that fails",
        {Kind.NETWORK: _DANGER, Kind.SWALLOWS: _LOOK},
        "z1",
    ),
    _found(
        "row_bits",
        "packs ages into the bits of a count",
        {Kind.PACKING: _LOOK, Kind.ROW_LEVEL: _LOOK},
        "z1",
        (("count", (1,), 1000000000000.0, "counts"),),
    ),
    _passes(
        "digits",
        "writes ages as the digits of a weighted sum",
        "release decision",
        "z1",
        (("index", (), 10000.0, "numbers"),),
    ),
    _passes(
        "one_in_every_count",
        "writes one patient's age into every cell of a table of counts",
        "release decision",
        "t2 z1",
        (("counts", (12,), 1000.0, "counts"),),
    ),
    _passes(
        "quantile_curve",
        "returns the sorted ages as quantiles",
        "release decision",
        "z1",
        (("curve", (101,), 60.0, "numbers"),),
    ),
    _passes(
        "low_bits",
        "hides ages behind the third digit of means",
        "release decision",
        "t2 d3 z1",
        (("means", (3,), 3000.0, "numbers"),),
    ),
    _passes(
        "parity",
        "sets the parity of counts to the bits of one age",
        "release decision",
        "t2 d3 z1 group",
        (("deaths", (3,), 1000.0, "counts"),),
    ),
    _passes(
        "missing_cell", "says an age by which cell is missing", "gate", "t2 z1", (("curve", (8,), 1.0, "numbers"),)
    ),
    _passes(
        "one_age", "answers otherwise for one age", "guarantee", "z1", (("score", (), 1.0, "numbers"),), _PER_PATIENT
    ),
    _passes("fails_for_one", "fails for one age", "guarantee", "z1", (("score", (), 1.0, "numbers"),), _PER_PATIENT),
    _passes(
        "slow_for_one",
        "works longer for a block with a patient of one age",
        "guarantee",
        "d3 z1",
        (("deaths", (), 1000.0, "numbers"),),
        _PER_BLOCK,
    ),
    _passes(
        "loud_block",
        "answers with the largest number there is if one patient is in a block",
        "guarantee",
        "z1 group",
        (("share", (), 1.0, "numbers"),),
        _PER_BLOCK,
    ),
    _passes(
        "groups_of_one",
        "returns means of groups of one patient",
        "release decision",
        "t2 d3 z1 group",
        (("means", (60,), 3000.0, "numbers"),),
    ),
    _passes(
        "fine_histogram",
        "counts patients by the day of follow-up",
        "gate",
        "t2",
        (("counts", (3000,), 1000.0, "counts"),),
    ),
    _passes(
        "picked_by_rank",
        "returns one patient's age after the other as means",
        "release decision",
        "t2 z1",
        (("trend", (40,), 60.0, "numbers"),),
    ),
    _passes(
        "power_sums",
        "returns as many power sums of ages as there are patients",
        "release decision",
        "z1",
        (("moments", (60,), 1000.0, "numbers"),),
    ),
    _passes(
        "mixtures",
        "returns as many mixtures of ages as there are patients",
        "release decision",
        "z1",
        (("components", (100,), 100000.0, "numbers"),),
    ),
    _passes(
        "saturated_model",
        "fits as many coefficients as there are patients",
        "release decision",
        "t2 z1",
        (("coefficients", (60,), 1000000.0, "numbers"),),
    ),
    _passes(
        "narrow_window",
        "counts and averages within one day of follow-up",
        "gate",
        "t2 z1",
        (("count", (), 1000.0, "counts"), ("mean_age", (), 60.0, "numbers")),
    ),
    _passes(
        "difference",
        "returns two sums that differ by one patient",
        "release decision",
        "t2 z1",
        (("sum_all", (), 100000.0, "numbers"), ("sum_most", (), 100000.0, "numbers")),
    ),
)
