"""The code of a Plan: text under a digest, refused where it could not be what a reviewer reads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.code import AGES, code
from synthema_core.code.source import MAIN, Code, functions
from synthema_core.errors import InvalidPlan

ONE = "def f(rows):\n    return 1.0\n"


@pytest.mark.parametrize(
    "path",
    [
        "scores.py",
        "helpers/scores.py",
        "helpers/__init__.py",
        "a/b/c/d/scores.py",
        "Scores2.py",
        "_private.py",
    ],
)
def test_a_helper_module_may_be_called(path: str) -> None:
    assert path in Code({MAIN: ONE, path: "x = 1\n"}, "f").files


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".py",
        "/scores.py",
        "../scores.py",
        "helpers/../scores.py",
        "./scores.py",
        "helpers//scores.py",
        "helpers\\scores.py",
        "scores.txt",
        "scores.py\n",
        "scores.py ",
        "scores.so",
        "scores.pth",
        "2scores.py",
        "help ers/scores.py",
        "helpers.scores.py",
        "a/b/c/d/e/scores.py",
        "s" * 64 + ".py",
        "\u017fcores.py",  # a long s, which is an s where cases are ignored
        "sc\u043eres.py",
        "scores\x00.py",
        "C:scores.py",
        "scores.PY",
    ],
)
def test_no_other_path_is_taken(path: str) -> None:
    with pytest.raises(InvalidPlan, match="cannot be a file"):
        Code({MAIN: ONE, path: "x = 1\n"}, "f")


@pytest.mark.parametrize(("first", "second"), [("scores.py", "scores/__init__.py"), (MAIN, "study/__init__.py")])
def test_no_two_files_are_one_module(first: str, second: str) -> None:
    """Else a reviewer reads two, and which of them runs is up to the machine."""
    with pytest.raises(InvalidPlan, match="are one module"):
        Code({MAIN: ONE, first: ONE, second: "x = 2\n"}, "f")


def test_the_cell_is_always_there_and_files_are_few_and_small() -> None:
    with pytest.raises(InvalidPlan, match=r"study\.py and at most 39"):
        Code({"other.py": ONE}, "f")
    helpers = {f"h{number}.py": "" for number in range(39)}
    assert len(Code({MAIN: ONE, **helpers}, "f").files) == 40
    with pytest.raises(InvalidPlan, match="at most 39"):
        Code({MAIN: ONE, **helpers, "one_more.py": ""}, "f")


@pytest.mark.parametrize("letter", ["x", "\u00e4"], ids=["ASCII", "two bytes"])
def test_the_size_is_that_of_all_files_in_bytes(letter: str) -> None:
    room = 400_000 - len(ONE)
    comment = "#" + letter * ((room - 1) // len(letter.encode()))
    assert Code({MAIN: ONE, "h.py": comment}, "f").files["h.py"] == comment
    with pytest.raises(InvalidPlan, match="larger than 400,000 bytes"):
        Code({MAIN: ONE, "h.py": comment, "more.py": "# " + letter}, "f")


@pytest.mark.parametrize("path", [MAIN, "helpers/scores.py"])
@pytest.mark.parametrize(
    "text",
    [
        "def f(rows:\n",
        "x = 1\n  y = 2\n",
        "x = '\x00'\n",
        "x = '\ud800'\n",
        "(" * 500,
        "(" * 5000 + ")" * 5000,
        "x = " + "-" * 100_000 + "1",
        "\x00\xff",
    ],
    ids=["bracket", "indent", "null", "surrogate", "open", "deep", "minus", "bytes"],
)
def test_what_is_no_python_is_refused_with_a_sentence(path: str, text: str) -> None:
    files = {MAIN: ONE, path: ONE + text if path == MAIN else text}
    with pytest.raises(InvalidPlan, match=path.replace(".", r"\.")) as refused:
        Code(files, "f")
    assert "Nothing was sent." in str(refused.value)
    assert len(str(refused.value)) < 200


def test_a_syntax_error_names_its_line() -> None:
    with pytest.raises(InvalidPlan, match=r"study\.py, line 4"):
        Code({MAIN: ONE + "\ndef g(:\n"}, "f")


@pytest.mark.parametrize(
    ("source", "named"),
    [
        (ONE, "g"),
        (ONE, ""),
        ("class f:\n    pass\n", "f"),
        ("f = lambda rows: 1\n", "f"),
        ("if True:\n    def f(rows):\n        return 1\n", "f"),
        ("def g(rows):\n    def f(rows):\n        return 1\n", "f"),
        ("from numpy import f\n", "f"),
        ("async def f(rows):\n    return 1\n", "f"),
        ("# def f(rows):\n", "f"),
        ("'''\ndef f(rows):\n'''\n", "f"),
    ],
)
def test_the_function_is_one_that_the_cell_defines(source: str, named: str) -> None:
    with pytest.raises(InvalidPlan, match="defines no function"):
        Code({MAIN: source}, named)


def test_functions_are_listed_in_the_order_of_the_source() -> None:
    assert functions("import os\ndef b(): ...\nx = 1\ndef a(): ...\nclass C:\n    def d(self): ...\n") == ("b", "a")


def test_the_function_of_a_helper_is_not_called() -> None:
    with pytest.raises(InvalidPlan, match="defines no function"):
        Code({MAIN: "from h import f\n", "h.py": ONE}, "f")


def test_every_byte_is_under_the_digest() -> None:
    one = code(AGES, scores="x = 1\n")
    others = [
        code(AGES + "\n", scores="x = 1\n"),
        code(AGES, scores="x = 1 \n"),
        code(AGES, score="x = 1\n"),
        code(AGES),
        Code({**one.files, MAIN: AGES + "def g(rows): ...\n"}, "patient"),
        Code({**one.files, MAIN: AGES + "def g(rows): ...\n"}, "g"),
    ]
    assert len({one.digest, *(other.digest for other in others)}) == len(others) + 1


def test_the_order_of_the_files_is_not() -> None:
    one = Code({MAIN: ONE, "a.py": "", "b.py": ""}, "f")
    other = Code({"b.py": "", "a.py": "", MAIN: ONE}, "f")
    assert one.digest == other.digest
    assert list(one.to_dict()["files"]) == list(other.to_dict()["files"])  # type: ignore[arg-type,call-overload]


def test_modules_are_named_as_they_are_imported() -> None:
    made = Code({MAIN: ONE, "h/scores.py": "", "h/__init__.py": "", "s.py": ""}, "f")
    assert made.modules == {"h.scores": "h/scores.py", "h": "h/__init__.py", "s": "s.py"}


def test_code_reads_back_as_itself() -> None:
    one = code(AGES, scores="x = 'ä'\n")
    assert Code.from_dict(json.loads(json.dumps(one.to_dict()))) == one


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@given(st.one_of(ANY, st.fixed_dictionaries({"files": ANY, "function": ANY})))
def test_whatever_is_no_code_is_refused_and_breaks_nothing(data: Any) -> None:
    with pytest.raises(InvalidPlan):
        Code.from_dict(data)


@given(st.text(max_size=60))
def test_whatever_text_is_read_or_refused(text: str) -> None:
    try:
        made = Code({MAIN: text + "\n" + ONE}, "f")
    except InvalidPlan:
        return
    assert Code.from_dict(made.to_dict()) == made
