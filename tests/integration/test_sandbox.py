"""The sandbox from outside: what evaluations give, how they end, and that nothing of them stays."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from synthema_core.analyses.base import Rows
from synthema_core.code.outputs import Output, Outputs
from synthema_core.code.source import Code
from synthema_core.errors import Unavailable
from synthema_core.sandbox.choose import BACKENDS
from synthema_core.sandbox.port import Backend, End, Limits, Sandbox
from synthema_core.sandbox.template_sandbox import TemplateSandbox

LIMITS = Limits(cpu_seconds=2.0, memory_bytes=128 << 20)
ROWS: Rows = {"age": np.array([40.0, 50.0, np.nan]), "sex": np.array(["f", "m", ""], dtype=object)}
ROOT = str(Path(__file__).parents[2])
TWO = Outputs((Output("mean", (), 200.0), Output("count", (), 1000.0)))
ONE = Outputs((Output("value", (), 1e9),))


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> Backend:
    chosen: Backend = request.param
    if missing := chosen.missing():
        pytest.fail(missing) if os.environ.get("SYNTHEMA_STRICT") else pytest.skip(missing)
    return chosen


def code(source: str, **helpers: str) -> Code:
    files = {f"{name}.py": textwrap.dedent(text) for name, text in helpers.items()}
    return Code({"study.py": textwrap.dedent(source), **files}, "f")


def row(value: float) -> Rows:
    return {"x": np.array([value])}


def test_rows_go_in_and_numbers_come_out(backend: Backend) -> None:
    source = """
        from helper import women
        def f(rows):
            print("seen", len(rows), "rows")
            return {"mean": rows["age"].mean(), "count": women(rows)}
    """
    with backend.open(code(source, helper="def women(rows):\n    return (rows['sex'] == 'f').sum()\n"), TWO) as sandbox:
        outcome = sandbox.evaluate(ROWS, LIMITS)
    assert outcome.end is End.RETURNED and outcome.log == "seen 3 rows\n"
    assert outcome.arrays is not None and {name: float(x) for name, x in outcome.arrays.items()} == {
        "mean": 45,
        "count": 1,
    }
    assert 0 < outcome.cpu_seconds < 2 and 0 < outcome.wall_seconds < 4


ENDS = [
    ("def f(rows):\n    return 1 / 0", End.RAISED, "ZeroDivisionError: division by zero"),
    (
        "def f(rows):\n    return helper(rows)\ndef helper(rows):\n    return rows['nothing']",
        End.RAISED,
        "KeyError: 'nothing'",
    ),
    ("import nothing_of_this_name\ndef f(rows):\n    return 1", End.RAISED, "No module named 'nothing_of_this_name'"),
    ("def f(rows):\n    return 'text'", End.BAD_OUTPUT, "The output 'value' is not made of numbers."),
    ("def f(rows):\n    return bytearray(1 << 30)", End.MEMORY, ""),
    ("def f(rows):\n    import ctypes\n    ctypes.string_at(1)", End.KILLED, ""),
]


@pytest.mark.parametrize(("source", "end", "said"), ENDS, ids=[end.value + said[:12] for _, end, said in ENDS])
def test_how_it_ended_and_why_is_told(backend: Backend, source: str, end: End, said: str) -> None:
    with backend.open(code(source), ONE) as sandbox:
        outcome = sandbox.evaluate(ROWS, LIMITS)
    assert (outcome.end, outcome.arrays) == (end, None)
    assert said in outcome.log
    assert "synthema_core" not in outcome.log and "child.py" not in outcome.log


def test_a_traceback_shows_the_lines_of_the_code(backend: Backend) -> None:
    with backend.open(code("def f(rows):\n    total = 1\n    return total / 0  # here\n"), ONE) as sandbox:
        log = sandbox.evaluate(ROWS, LIMITS).log
    assert 'File "study.py", line 3, in f' in log and "return total / 0  # here" in log


@pytest.mark.parametrize("wait", ["while True: pass", "select.poll().poll(60_000)"])
def test_too_long_is_a_time_out_by_either_clock(backend: Backend, wait: str) -> None:
    limits = Limits(cpu_seconds=0.4)
    with backend.open(code(f"import select\ndef f(rows):\n    {wait}\n"), ONE) as sandbox:
        outcome = sandbox.evaluate(ROWS, limits)
    assert outcome.end is End.TIMEOUT
    assert outcome.wall_seconds < limits.wall_seconds + 2
    assert outcome.cpu_seconds < limits.cpu_seconds + 0.3


def test_outcomes_come_in_the_groups_order_and_one_failure_is_no_other(backend: Backend) -> None:
    source = """
        import select
        def f(rows):
            x = rows["x"].iloc[0]
            if x % 5 == 0:
                select.poll().poll(50)
            if x % 7 == 3:
                raise ValueError(x)
            return x
    """
    with backend.open(code(source), ONE) as sandbox:
        outcomes = list(sandbox.evaluate_all((row(float(x)) for x in range(40)), LIMITS))
    values = [None if outcome.arrays is None else float(outcome.arrays["value"]) for outcome in outcomes]
    assert values == [None if x % 7 == 3 else x for x in range(40)]


def test_rows_and_results_larger_than_a_pipe_travel(backend: Backend) -> None:
    many = {f"c{number}": np.arange(200_000.0) for number in range(10)}
    outputs = Outputs((Output("sums", (10,), 1e12), Output("all", (90_000,), 1e9)))
    source = """
        import numpy as np
        def f(rows):
            print("x" * 300_000)
            return rows.sum().to_numpy(), np.arange(90_000.0)
    """
    with backend.open(code(source), outputs) as sandbox:
        outcomes = list(sandbox.evaluate_all([many, many, many], Limits(cpu_seconds=10)))
    for outcome in outcomes:
        assert outcome.end is End.RETURNED and outcome.arrays is not None, outcome.log[-300:]
        assert outcome.arrays["sums"].tolist() == [199_999 * 100_000.0] * 10
        assert outcome.arrays["all"][-1] == 89_999
        assert len(outcome.log) < 70_000


def test_memory_is_told_and_limited_above_what_the_libraries_take(backend: Backend) -> None:
    source = "import numpy as np\ndef f(rows):\n    return np.ones(int(rows['x'].iloc[0])).sum()\n"
    with backend.open(code(source), ONE) as sandbox:
        small, large, huge = sandbox.evaluate_all([row(1e3), row(6e6), row(2e7)], LIMITS)
    assert (small.end, large.end, huge.end) == (End.RETURNED, End.RETURNED, End.MEMORY)
    assert small.peak_bytes < 30 << 20 and 40 << 20 < large.peak_bytes <= LIMITS.memory_bytes


def test_two_evaluations_draw_different_numbers(backend: Backend) -> None:
    source = "import random\nimport numpy as np\ndef f(rows):\n    return np.random.rand(), random.random()\n"
    with backend.open(code(source), TWO) as sandbox:
        outcomes = list(sandbox.evaluate_all([ROWS] * 4, LIMITS))
    drawn = [float(value) for outcome in outcomes for value in (outcome.arrays or {}).values()]
    assert len(set(drawn)) == 8


LIBRARIES = """
import math, statistics, json, collections, datetime, functools
import numpy as np
import pandas as pd
from scipy import stats, optimize, linalg, special
from sklearn.linear_model import LogisticRegression

def f(rows):
    x = np.linspace(0, 1, 50)
    y = (x + np.sin(40 * x) / 9 > 0.5).astype(float)
    frame = pd.DataFrame({"x": x, "y": y, "g": ["a", "b"] * 25, "t": pd.date_range("2020", periods=50)})
    model = LogisticRegression().fit(frame[["x"]], frame["y"])
    found = optimize.minimize(lambda b: np.sum((b[0] - x) ** 2), [0.0], method="BFGS")
    table = frame.pivot_table(index="g", columns="y", values="x", aggfunc="mean")
    merged = frame.merge(frame.groupby("g", as_index=False)["x"].mean(), on="g", suffixes=("", "_mean"))
    words = [str(frame.describe()), repr(frame), frame.to_csv(), frame.to_json(), str(frame.dtypes)]
    cut = pd.cut(frame["x"], 4).value_counts().sort_index()
    numbers = [stats.ttest_ind(x, y).pvalue, stats.norm.ppf(0.975), special.expit(0), linalg.det(np.eye(3)), found.x[0],
               model.coef_[0, 0], table.to_numpy().sum(), merged["x_mean"].sum(), cut.sum(), np.linalg.lstsq(
               np.c_[x, np.ones(50)], y, rcond=None)[0][0], np.median(x), frame["x"].rolling(3).mean().sum(),
               frame["x"].corr(frame["y"]), frame["t"].dt.year.sum(), frame["g"].str.upper().eq("A").sum(),
               pd.get_dummies(frame["g"]).to_numpy().sum(), np.histogram(x, 5)[0].sum(), frame.sample(5).shape[0],
               frame["x"].rank().sum(), frame.sort_values(["g", "x"]).iloc[0]["x"], np.polyfit(x, y, 1)[0],
               np.random.default_rng().normal(), statistics.mean([1, 2]), pd.concat([frame, frame]).shape[0],
               frame["x"].quantile([0.1, 0.9]).sum(), frame.apply(lambda r: r["x"], axis=1).sum(),
               np.ma.masked_less(x, 0.5).sum()]
    return float(np.isfinite(numbers).all()) * len(words)
"""


def test_what_studies_import_works(backend: Backend) -> None:
    with backend.open(code(LIBRARIES), ONE) as sandbox:
        outcome = sandbox.evaluate(ROWS, Limits(cpu_seconds=20))
    assert outcome.end is End.RETURNED and outcome.arrays is not None, outcome.log
    assert outcome.arrays["value"] == 5


def test_each_evaluation_has_its_own_process_with_its_own_name_spaces() -> None:
    """Seen from outside: from inside, the filter would hide that they are shared."""
    backend = BACKENDS[0]
    if backend.missing() or os.geteuid() != 0:
        pytest.skip(backend.missing() or "Only root may look at them.")
    source = "import select\ndef f(rows):\n    select.poll().poll(int(rows['x'].iloc[0]))\n    return 1\n"
    with backend.open(code(source), ONE) as sandbox:
        assert isinstance(sandbox, TemplateSandbox)
        started = psutil.Process(sandbox.template_pid)
        template = {process.pid for process in (started, *started.children(recursive=True))}
        outcomes = iter(sandbox.evaluate_all([row(0), row(60_000), row(60_000), row(0)], Limits(cpu_seconds=600)))
        next(outcomes)
        theirs = [name_spaces(pid) for pid in (*template, os.getpid())]
        deadline = time.monotonic() + 10
        while len(alone := apart(started, template, theirs)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        outcomes.close()  # type: ignore[attr-defined]
    assert len(alone) == 2 and not set(alone[0]) & set(alone[1])


def apart(started: psutil.Process, template: set[int], theirs: list[list[str]]) -> list[list[str]]:
    """The name spaces of the children, where they share none with anybody of `theirs`."""
    children = [process.pid for process in started.children(recursive=True) if process.pid not in template]
    found = [name_spaces(pid) for pid in children]
    return [own for own in found if own and not any(set(own) & set(others) for others in theirs)]


def name_spaces(pid: int) -> list[str]:
    """Empty if it has just ended."""
    with suppress(OSError):
        return [str(Path(f"/proc/{pid}/ns/{kind}").readlink()) for kind in ("pid", "mnt", "net", "ipc", "uts")]
    return []


# What stays


def processes_of_this_one() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def gone(pids: set[int], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
            return True
        time.sleep(0.05)
    return False


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nothing_stays_when_it_is_left(backend: Backend) -> None:
    gc.collect()  # what earlier tests left open must not be closed in between
    before, files = processes_of_this_one(), open_files()
    with backend.open(code("import select\ndef f(rows):\n    select.poll().poll(60_000)\n"), ONE) as sandbox:
        outcomes = sandbox.evaluate_all([ROWS, ROWS, ROWS], Limits(cpu_seconds=0.2))
        assert next(iter(outcomes)).end is End.TIMEOUT
        during = processes_of_this_one() - before
        assert during
    assert gone(during)
    del outcomes
    assert open_files() <= files


def test_a_reader_who_has_enough_ends_what_still_runs(backend: Backend) -> None:
    source = (
        "import select\ndef f(rows):\n    if rows['x'].iloc[0]:\n        select.poll().poll(60_000)\n    return 7\n"
    )
    with backend.open(code(source), ONE) as sandbox:
        outcomes = iter(sandbox.evaluate_all([row(0), row(1), row(1)], Limits(cpu_seconds=30)))
        assert next(outcomes).end is End.RETURNED
        began = time.monotonic()
        outcomes.close()  # type: ignore[attr-defined]
        outcome = sandbox.evaluate(row(0), LIMITS)
        assert outcome.end is End.RETURNED and time.monotonic() - began < 10


def test_a_template_that_breaks_is_replaced_once_and_nobody_notices(backend: Backend) -> None:
    source = "import select\ndef f(rows):\n    select.poll().poll(20)\n    return rows['x'].iloc[0]\n"
    with backend.open(code(source), ONE) as sandbox:
        assert isinstance(sandbox, TemplateSandbox)
        values = []
        for place, outcome in enumerate(sandbox.evaluate_all((row(float(x)) for x in range(12)), LIMITS)):
            values.append(None if outcome.arrays is None else float(outcome.arrays["value"]))
            if place == 3:
                kill_template(sandbox)
        assert values == list(range(12))
        kill_template(sandbox)
        with pytest.raises(Unavailable, match="broke twice"):
            sandbox.evaluate(row(1.0), LIMITS)


def kill_template(sandbox: Sandbox) -> None:
    """What this process started for it."""
    assert isinstance(sandbox, TemplateSandbox)
    started = psutil.Process(sandbox.template_pid)
    for process in (*started.children(recursive=True), started):
        with suppress(psutil.NoSuchProcess):  # it ended with one that was killed before it
            process.kill()


HOST = """
import os, sys
sys.path[:0] = {path!r}
import numpy as np
from synthema_core.code.outputs import Output, Outputs
from synthema_core.code.source import Code
from synthema_core.sandbox.attacks import ATTACKS, attack
from synthema_core.sandbox.attacks.case import Field
from synthema_core.sandbox.backends import BubblewrapBackend, LandlockBackend
from synthema_core.sandbox.port import Limits
backend = {{"bubblewrap": BubblewrapBackend, "landlock": LandlockBackend}}[sys.argv[1]]()
print("missing", repr(backend.missing()), flush=True)
source = "import select\\ndef f(rows):\\n    select.poll().poll(int(rows['x'].iloc[0]))\\n    return rows['x'].sum()\\n"
with backend.open(Code({{"study.py": source}}, "f"), Outputs((Output("value", (), 1e9),))) as sandbox:
    outcome = sandbox.evaluate({{"x": np.array([2.0, 3.0])}}, Limits())
    print(outcome.end.value, outcome.arrays, outcome.log, flush=True)
    if sys.argv[2:] == ["attack"]:
        found = attack(backend, [case for case in ATTACKS if case.field is not Field.LIMITS])
        print("through", [finding.name for finding in found if not finding.held], flush=True)
    if sys.argv[2:] == ["stay"]:
        print("stays", flush=True)
        sandbox.evaluate({{"x": np.array([60_000.0])}}, Limits(cpu_seconds=600))
"""


def host(path: list[str]) -> str:
    return HOST.format(path=path)


def test_it_works_from_an_isolated_process_with_an_empty_environment(backend: Backend) -> None:
    command = [sys.executable, "-I", "-c", host([ROOT]), backend.name]
    done = subprocess.run(command, env={}, cwd="/", capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[:2] == ["missing ''", "returned {'value': array(5.)} "], done.stderr


@pytest.fixture
def staying(backend: Backend) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-I", "-c", host([ROOT]), backend.name, "stay"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "stays" not in process.stdout.readline():
            assert process.poll() is None
        yield process
        process.kill()


def test_everything_ends_with_the_process_that_opened_it(staying: subprocess.Popen[str]) -> None:
    started = psutil.Process(staying.pid).children(recursive=True)
    deadline = time.monotonic() + 10
    while len(started) < 2 and time.monotonic() < deadline:
        started = psutil.Process(staying.pid).children(recursive=True)
    assert len(started) >= 2
    staying.send_signal(signal.SIGKILL)
    assert gone({process.pid for process in started})


def python_for_everybody() -> str:
    """An interpreter of this version that another user can start."""
    for program in (sys.executable, shutil.which("python3.11", path="/usr/bin") or "", "/usr/local/bin/python3.11"):
        place = Path(program).resolve()
        if program and place.exists() and all(folder.stat().st_mode & 0o001 for folder in (place, *place.parents)):
            return str(place)
    return ""


def for_everybody() -> list[str]:
    """An interpreter that another user can start, and the host program for it."""
    program = python_for_everybody()
    if not program:
        pytest.skip("No Python 3.11 that another user can start.")
    packages = Path(np.__file__).parents[1]
    if not all(folder.stat().st_mode & 0o001 for place in (packages, Path(ROOT)) for folder in (place, *place.parents)):
        pytest.skip("Another user cannot read this copy.")
    return [program, "-I", "-B", "-c", host([ROOT, str(packages)])]


@pytest.mark.skipif(os.geteuid() != 0, reason="All other tests have been run as a normal user.")
def test_it_works_and_holds_for_a_normal_user(backend: Backend) -> None:
    command = [*for_everybody(), backend.name, "attack"]
    done = subprocess.run(
        command,
        env={},
        cwd="/",
        user=23456,
        group=23456,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.splitlines()[:2] == ["missing ''", "returned {'value': array(5.)} "], done.stderr
    assert done.stdout.splitlines()[2:] == ["through []"], done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="It starts a process as somebody else.")
@pytest.mark.parametrize("user", [0, 23456], ids=["root", "a normal user"])
def test_a_child_has_no_right_left(backend: Backend, user: int) -> None:
    """Seen from outside: the filter would not let it ask."""
    command = [*for_everybody(), backend.name, "stay"]
    with subprocess.Popen(
        command, env={}, cwd="/", user=user, group=user, extra_groups=[], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        while "stays" not in process.stdout.readline():
            assert process.poll() is None
        deadline = time.monotonic() + 10
        while not (child := confined(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
    held = ["CapInh", "CapPrm", "CapEff", "CapAmb"]
    if user == 0 or backend.name == "bubblewrap":  # nobody else may give up what he could only gain by a new privilege
        held.append("CapBnd")
    assert [int(child[name], 16) for name in held] == [0] * len(held)
    assert child["NoNewPrivs"] == "1" and set(child["Uid"].split()) == {str(user or 65534)}


def confined(host: int) -> dict[str, str]:
    """What the kernel says of the descendant that has a filter; empty if there is none yet."""
    with suppress(OSError, psutil.NoSuchProcess):
        for process in psutil.Process(host).children(recursive=True):
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            status = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
            if status.get("Seccomp") == "2":
                return status
    return {}
