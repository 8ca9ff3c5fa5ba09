"""The researcher's modules, without any folder; and what a template imports for them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

from synthema_core.sandbox.inside.code import Modules, Program, preload

FILES = {
    "study.py": "import helpers.scores as s\nfrom helpers.deep.er import DEPTH\nf = lambda x: s.twice(x) + DEPTH\n",
    "helpers/scores.py": "def twice(x):\n    return 2 * x\n",
    "helpers/deep/er/__init__.py": "from .inner import DEPTH\n",
    "helpers/deep/er/inner.py": "DEPTH = 40\n",
}


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    modules, finders = dict(sys.modules), list(sys.meta_path)
    yield
    sys.meta_path[:] = finders
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]
    sys.modules.update(modules)


def test_helper_modules_are_found_at_any_depth() -> None:
    assert Program.of(FILES, "f").load()(1) == 42


def test_a_helper_comes_before_a_module_of_that_name_that_is_loaded() -> None:
    files = {"study.py": "import colorsys\nf = colorsys.mine", "colorsys.py": "mine = 7\n"}
    import colorsys

    assert not hasattr(colorsys, "mine")
    assert Program.of(files, "f").load() == 7


@pytest.mark.parametrize("source", ["def f(:\n", "(" * 300 + ")" * 300, "\udcff"], ids=["syntax", "deep", "surrogate"])
def test_what_does_not_compile_fails_when_it_is_loaded_and_not_before(source: str) -> None:
    program = Program.of({"study.py": source}, "f")
    assert program.compiled == {}
    with pytest.raises((SyntaxError, MemoryError, RecursionError, ValueError)):
        program.load()


def test_the_main_module_does_not_think_that_it_is_a_program() -> None:
    source = "ran = __name__ == '__main__'\ndef f():\n    return ran, __file__\n"
    assert Program.of({"study.py": source}, "f").load()() == (False, "study.py")


def test_the_lines_of_a_module_can_be_shown() -> None:
    assert Modules(Program.of(FILES, "f")).get_source("helpers.scores") == FILES["helpers/scores.py"]


def imported_by(files: Mapping[str, str]) -> set[str]:
    """In a process of its own."""
    program = f"""
import sys
from synthema_core.sandbox.inside.code import preload
before = set(sys.modules)
preload({list(files.values())!r})
print(*sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


def test_a_template_imports_the_libraries_that_the_code_names_and_runs_nothing_of_it() -> None:
    source = "import statistics as s, this, httpx\nfrom scipy import stats\nfrom antigravity import fly\nprint('ran')\n"
    found = imported_by({"study.py": source, "a.py": "def f():\n    import colorsys\n", "b.py": "not python"})
    assert {"statistics", "scipy.stats", "colorsys"} <= found
    assert not {"this", "antigravity", "httpx"} & found
    assert callable(preload)
