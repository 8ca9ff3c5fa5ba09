"""Vetting, rule by rule: what each finds, what it leaves in peace, and that no text brings it down."""

from __future__ import annotations

import inspect
import json
import sys
import unicodedata

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from synthema_core.code.shapes import SHAPES
from synthema_core.code.source import MAIN, Code
from synthema_core.errors import InvalidInput, InvalidPlan
from synthema_core.vetting import Finding, Kind, Severity, summary, vet

BODY = "def study(rows):\n    {}\n    return {{'n': float(len(rows))}}\n"


def code(source: str, **helpers: str) -> Code:
    """A whole cell, or lines of the body of one; helpers by name, `__` for a folder."""
    whole = source if "def study" in source else BODY.format(source.replace("\n", "\n    "))
    return Code({MAIN: whole, **{f"{name.replace('__', '/')}.py": text for name, text in helpers.items()}}, "study")


def found(source: str, shape: str = "aggregate", **helpers: str) -> set[tuple[str, str]]:
    return {(finding.kind.value, finding.severity.value) for finding in vet(code(source, **helpers), shape)}


RULES = [
    # imports
    ("import socket", "network danger"),
    ("from urllib import request", "network danger"),
    ("import os.path as p", "files danger"),
    ("import subprocess", "process danger"),
    ("from ctypes import CDLL", "native danger"),
    ("import numba", "native danger"),
    ("import importlib", "dynamic danger"),
    ("import joblib", "pickle danger"),
    ("import zlib", "opaque danger"),
    ("import random", "noise look"),
    ("import time", "time look"),
    ("import logging", "output look"),
    ("import hashlib", "singling-out look"),
    ("import statsmodels.api as sm", "import look"),
    ("from numpy import *\ndef study(rows):\n    return {}", "import look"),
    ("import sklearn.datasets", "network danger"),
    ("from scipy import io", "files danger"),
    ("import numpy.ctypeslib", "native danger"),
    ("from pandas._libs import lib", "dunder look"),
    ("from numpy import frombuffer", "native look"),
    # names and what stands behind them
    ("eval('1')", "dynamic danger"),
    ("f = exec\nf('1')", "dynamic danger"),
    ("[compile][0]", "dynamic danger"),
    ("eval = eval", "dynamic danger"),
    ("setattr(rows, 'a', 1)", "dynamic danger"),
    ("getattr(rows, 'a')", "dynamic look"),
    ("getattr(rows, 'a' + rows.name)", "dynamic danger"),
    ("f = getattr\nf(rows, rows.name)", "dynamic danger"),
    ("vars(rows)", "dynamic look"),
    ("open('x')", "files danger"),
    ("input()", "output look"),
    ("memoryview(b'')", "native look"),
    ("bytes(4)", "packing look"),
    ("exit()", "leak look"),
    ("hash('a')", "singling-out look"),
    ("chr(7)", "dynamic look"),
    ("rows.eval('a')", "dynamic danger"),
    ("rows.query('a > 1')", "dynamic danger"),
    ("rows.to_pickle('x')", "pickle danger"),
    ("rows.to_csv('x')", "files danger"),
    ("import numpy as np\nnp.load('x')", "files danger"),
    ("import numpy as np\nnp.lib.stride_tricks.as_strided(rows)", "native danger"),
    ("rows['a'].to_numpy().tobytes()", "packing look"),
    ("x = 5 << 3", "packing look"),
    ("'aa'.encode().decode()", "opaque look"),
    ("import numpy as np\nnp.random.seed(3)", "noise look"),
    ("from numpy import random as r\nr.gamma(3)", "noise look"),
    ("import numpy as np\nr = np.random\ng = r\ng.gamma(3)", "noise look"),
    ("from scipy.stats import norm\nnorm.rvs(3)", "noise look"),
    ("from sklearn.linear_model import Ridge\nRidge(random_state=3)", "noise look"),
    ("from sklearn.linear_model import Ridge\nRidge(n_jobs=3)", "process note"),
    ("from datetime import datetime\ndatetime.now()", "time look"),
    ("import pandas as pd\npd.Timestamp.today()", "time look"),
    ("import pandas as pd\npd.io.common.os.listdir('/')", "dynamic danger"),
    ("import numpy as np\nnp._core.multiarray", "dunder look"),
    ("import functools\nfunctools.lru_cache(3)", "state note"),
    ("import operator", "dynamic danger"),
    ("import functools\nf = functools.partial(getattr, rows)\nf(rows.name)", "dynamic danger"),
    ("import functools\nfunctools.reduce(getattr, ['a'], rows)", "dynamic danger"),
    ("import collections\ncollections._sys", "dynamic danger"),
    ("import re\nre.copyreg", "dynamic danger"),
    ("from numpy import *\ndef study(rows):\n    return load('x')", "files danger"),
    ("from statistics import mean as sum\ndef study(rows):\n    return sum([1])", "patching look"),
    ("rows.info()", "output note"),
    # words in pieces
    ("x = 'ev' + 'al'", "dynamic danger"),
    ("x = ''.join(['e', 'val'])", "dynamic danger"),
    ("x = 'lave'[::-1]", "dynamic danger"),
    ("x = f\"{'so'}cket\"", "dynamic danger"),
    ("x = chr(111) + 's'", "dynamic danger"),
    ("x = bytes([111, 115]).decode()", "dynamic danger"),
    ("x = 'sUbprocess'.lower()", "dynamic danger"),
    ("x = 'suXbprocess'.replace('X', '')", "dynamic danger"),
    ("x = '__cla' + 'ss__'", "dynamic danger"),
    # internals
    ("x = rows.__class__", "dunder danger"),
    ("x = '{0.__class__}'", "dunder danger"),
    ("x = '{0.a}'.format(rows)", "dynamic danger"),
    ("x = '{0[a]}'.format_map(rows)", "dynamic danger"),
    ("match rows:\n    case object(__class__=k):\n        pass", "dunder danger"),
    ("x = dict(__class__=3)", "dunder danger"),
    ("__loader__", "dunder danger"),
    ("class A:\n    def __getattr__(self, n):\n        return 1", "dunder danger"),
    ("class A:\n    def __init_subclass__(cls):\n        pass", "dunder danger"),
    ("class A(B := object, metaclass=type):\n    pass", "classes danger"),
    ("class A(type):\n    pass", "classes danger"),
    ("x = type('A', (), {})", "classes danger"),
    ("@print\ndef f():\n    pass", "classes look"),
    ("import numpy as np\nnp.mean = 3", "patching danger"),
    ("import numpy as np\nm = np\nm.linalg.norm += 3", "patching danger"),
    ("import numpy as np\nfor np.mean in [1]:\n    pass", "patching danger"),
    ("import numpy as np\ndel np.mean", "patching danger"),
    ("import pandas as pd\npd.options.mode.copy_on_write = True", "patching note"),
    ("import pandas as pd\npd.set_option('a', 1)", "patching look"),
    ("sum = 3", "patching look"),
    # rows
    ("def study(rows):\n    return {'a': rows['z1']}", "row-level danger"),
    ("def study(rows):\n    return rows.z1.to_numpy()[:5]", "row-level danger"),
    ("def study(rows):\n    x = rows['z1'].astype(int)\n    return {'a': x + 1}", "row-level danger"),
    ("def study(rows):\n    out = {}\n    out['a'] = rows['z1']\n    return out", "row-level danger"),
    ("def study(rows):\n    return dict(a=sorted(rows['z1']))", "row-level danger"),
    ("def study(rows):\n    return [x for x in rows['z1']]", "row-level danger"),
    ("def f(x):\n    return x\ndef study(rows):\n    return f(rows)", "row-level danger"),
    ("import numpy as np\ndef study(rows):\n    return np.resize(rows['z1'], 9)", "row-level danger"),
    ("def study(rows):\n    for k in rows['z1']:\n        a = k\n    return a", "row-level danger"),
    ("def study(rows):\n    yield rows['z1']", "row-level danger"),
    ("rows.head(3)", "row-level look"),
    ("rows['z1'].iloc", "row-level look"),
    ("x = rows['z1'].to_numpy()[0].mean()", "row-level look"),
    ("x = rows['z1'].to_numpy()[-1]", "row-level look"),
    ("k = 7\nx = rows['z1'][k]", "row-level look"),
    ("with rows as r:\n    x = r.to_numpy()[0]", "row-level look"),
    ("for k in range(9):\n    rows['z1'][k]", "row-level look"),
    ("x = rows['z1'].to_numpy()[3:5]", "row-level look"),
    ("def f(x):\n    return x[0]\ndef study(rows):\n    return f(rows['z1'].to_numpy()) * 0", "row-level look"),
    ("rows.loc[rows.z1 > 5]", "row-level note"),
    ("x = sorted(rows['z1'])[0]", "sorting look"),
    ("x = rows.sort_values('z1')['t2'].to_numpy()[:3]", "sorting look"),
    ("rows.sort_values('z1')", "sorting note"),
    ("rows['z1'].max()", "extreme look"),
    ("import numpy as np\nnp.min(rows)", "extreme look"),
    ("max(rows['z1'])", "extreme look"),
    ("m = max\nm(rows['z1'])", "extreme look"),
    ("max(*rows['z1'])", "extreme look"),
    ("rows.agg('max')", "extreme look"),
    ("rows.agg({'a': ['idx' + 'max']})", "extreme look"),
    ("rows.agg('m' + rows.name)", "dynamic look"),
    ("from statistics import mode\nmode(rows['z1'])", "extreme look"),
    ("rows['z1'].quantile(0.5)", "extreme note"),
    ("x = rows['patient']", "identifier look"),
    ("x = rows.patient", "identifier look"),
    ("x = rows['patient_no']", "identifier look"),
    ("x = rows['patient'] == 7", "identifier danger"),
    ("x = rows.mrn.isin([7])", "identifier danger"),
    ("x = rows['t2'] == 1347", "singling-out look"),
    ("k = 1347\nx = rows['t2'] == k", "singling-out look"),
    ("k = [1347, 1348]\nx = rows['t2'] in k", "singling-out look"),
    ("x = (rows['t2'] - 1347) == 0", "singling-out look"),
    ("x = rows['t2'].eq(1347)", "singling-out look"),
    ("x = rows['t2'] == 3.1416", "singling-out look"),
    ("x = rows['a'] == 'P-00123'", "singling-out look"),
    ("match rows.t2:\n    case 1347:\n        pass", "singling-out look"),
    ("x = rows['z1'] == 37", "singling-out note"),
    ("x = rows['t2'] > 1346", "singling-out note"),
    # conduct
    ("raise ValueError(f'{rows}')", "leak look"),
    ("raise (ValueError if rows.empty else KeyError)('a')", "leak look"),
    ("assert rows.empty, rows", "leak look"),
    ("raise ValueError('no rows')", "leak note"),
    ("print(rows)", "output look"),
    ("p = print\np(rows)", "output look"),
    ("print('started')", "output note"),
    ("import warnings\nwarnings.warn(str(rows))", "output look"),
    ("try:\n    pass\nexcept:\n    pass", "swallows look"),
    ("try:\n    pass\nexcept (ValueError, Exception):\n    x = 1", "swallows look"),
    ("global seen\nseen = 1", "state look"),
    ("SEEN = {}\ndef study(rows):\n    SEEN['a'] = 1\n    return {}", "state look"),
    ("SEEN = []\ndef study(rows):\n    SEEN.append(1)\n    return {}", "state look"),
    ("def study(rows):\n    study.seen = 1\n    return {}", "state look"),
    ("def f(a=[]):\n    return a\ndef study(rows):\n    return f()", "state look"),
    ("def f(*, a={}):\n    return a\ndef study(rows):\n    return f()", "state look"),
    ("import numpy as np\nnp.seterr(all='ignore')\ndef study(rows):\n    return {}", "loading note"),
    ("x = (lambda: 1)()", "unreadable look"),
    ("[x for x in rows]", "unreadable look"),
    ("y = [x for x in rows for y in rows for z in rows]", "unreadable look"),
    ("x = " + "+".join("a" * 150), "unreadable look"),
    ("x = " + "(" * 40 + "1" + ",)" * 40, "unreadable look"),
    ("def study():\n    return {}", "signature look"),
    ("def study(rows, k=1):\n    return {}", "signature look"),
    ("def study(*rows):\n    return {}", "signature look"),
    ("def study(rows, *, k=1):\n    return {}", "signature look"),
    ("def study(rows):\n    yield 1", "signature look"),
    ("def study(rows):\n    return {}\ndef study(rows):\n    return {}", "signature danger"),
    ("def study(rows):\n    return {}\nstudy = print", "signature danger"),
    ("def f():\n    pass\ndef study(rows):\n    return {}", "unused note"),
    # text
    ("x = '\u202e'", "hidden-text danger"),
    ("x = 1  # \u2066 all is well", "hidden-text danger"),
    ("x = '\u200b'", "hidden-text danger"),
    ("x = 1 # \x0c", "hidden-text danger"),
    ("# -*- coding: utf-7 -*-\ndef study(rows):\n    return {}", "hidden-text danger"),
    ("m\u0435an = 1", "hidden-text danger"),
    ("\uff45\uff56\uff41\uff4c('1')", "hidden-text danger"),
    ("\uff45\uff56\uff41\uff4c('1')", "dynamic danger"),
    ("\u017fum = 1", "hidden-text danger"),
    ("größe = 1", "hidden-text look"),
    ("x = 1;" + " " * 60 + "import os", "hidden-text look"),
    ("x = '" + "QUJD" * 12 + "'", "opaque look"),
    ("x = b'" + "ab" * 20 + "'", "opaque look"),
    ("x = " + "9" * 60, "opaque look"),
    ("x = 0x" + "f" * 5000, "opaque look"),
    ("x = '\\x01\\x02\\x03\\x04'", "opaque look"),
    ("x = [" + "1," * 60 + "]", "opaque look"),
]  # fmt: skip

PEACE = [
    ("import numpy as np\nnp.mean(rows['z1'])", ""),
    ("import sklearn.linear_model", ""),
    ("import json\njson.loads('1')", ""),
    ("from datetime import timedelta", ""),
    ("x = max(0, 1)", "extreme"),
    ("vars = 3\nx = vars", "dynamic"),
    ("dir = 3\nx = dir", "dynamic"),
    ("x = ','.join(['a', 'b'])", "dynamic"),
    ("x = 'age ' + 'group'", "dynamic"),
    ("'Calls __class__ of nobody.'", "dunder"),
    ("if __name__ == '__main__':\n    pass", "dunder"),
    ("x = f'{rows.size}'", "dynamic"),
    ("x = '{:.3f}'.format(1)", "dynamic"),
    ("class A:\n    def __init__(self):\n        super().__init__()", "dunder"),
    ("from dataclasses import dataclass\n@dataclass\nclass A:\n    a: int", "classes"),
    ("import pandas as pd\npd.options.mode.copy_on_write = True", "extreme"),
    ("rows['b'] = rows['a'] * 2", "patching"),
    ("def study(rows):\n    return {'a': rows['z1'].mean()}", "row-level"),
    ("def study(rows):\n    return {'a': (rows['z1'] > 5).sum()}", "row-level"),
    ("def study(rows):\n    return {'n': rows.shape[0]}", "row-level"),
    ("def study(rows):\n    x = rows.to_numpy()\n    return {'a': x.T @ x}", "row-level"),
    ("def f(x):\n    return x\ndef study(rows):\n    y = f(rows)\n    return {'n': len(y)}", "row-level"),
    ("x = rows.to_numpy()[:, 0].mean()", "row-level"),
    ("import numpy as np\nedges = np.arange(9)\nx = edges[1:] - edges[:-1]", "row-level"),
    ("x = {'patients': 1}", "identifier"),
    ("x = rows['width']", "identifier"),
    ("x = rows['z1'] == 1", "singling-out"),
    ("x = rows['group'] == 'A1'", "singling-out"),
    ("x = rows['t2'] >= 365", "singling-out"),
    ("try:\n    pass\nexcept ValueError:\n    pass", "swallows"),
    ("seen = []\nseen.append(1)", "state"),
    ("seen = {}\nseen['a'] = 1", "state"),
    ("def f(a=None, b=()):\n    return a, b\ndef study(rows):\n    return f()", "state"),
    ("def f(x):\n    return x\ndef study(rows):\n    return {'a': f(1)}", "unused"),
    ("# -*- coding: utf-8 -*-\ndef study(rows):\n    return {}", "hidden-text"),
    ("x = 'Größe in cm'  # Umlaute", "hidden-text"),
    ("x = 1\t# a comment\t\tafter tabs", "hidden-text"),
    ("'" + "a long explanation of what is done. " * 4 + "'", "opaque"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "expected"), RULES)
def test_a_rule_finds(source: str, expected: str) -> None:
    kind, severity = expected.split()
    assert (kind, severity) in found(source)


@pytest.mark.parametrize(("source", "kind"), PEACE)
def test_a_rule_leaves_in_peace(source: str, kind: str) -> None:
    """No finding of the kind, nor a note; of no kind where none is said."""
    assert not [pair for pair in found(source) if pair[0] == kind or not kind]


def test_every_kind_is_tried() -> None:
    tried = {expected.split()[0] for _, expected in RULES}
    elsewhere = {Kind.UNUSED_HELPER, Kind.SYNTAX}
    assert tried == {kind.value for kind in Kind} - elsewhere


# Files together.


def test_helpers_are_the_plans_own_and_are_read_like_the_cell() -> None:
    source = (
        "from helpers import scores\nimport plain\ndef study(rows):\n    return {'a': scores.f(rows), 'b': plain.g()}"
    )
    helpers = {
        "helpers__scores": "import socket\ndef f(rows):\n    return rows.size\n",
        "plain": "def g():\n    return 1",
    }
    findings = vet(code(source, **helpers), "aggregate")
    assert [(finding.file, finding.line, finding.kind) for finding in findings] == [
        ("helpers/scores.py", 1, Kind.NETWORK)
    ]


@pytest.mark.parametrize(
    ("statement", "imported"),
    [
        ("import helpers.scores", True),
        ("from helpers.scores import f", True),
        ("from helpers import scores", True),
        ("import helpers", False),
        ("import numpy", False),
    ],
)
def test_a_helper_that_nobody_imports_is_noted(statement: str, imported: bool) -> None:
    pairs = found(f"{statement}\ndef study(rows):\n    return {{}}", helpers__scores="f = 1\n")
    assert (("unused-helper", "note") in pairs) is not imported


def test_a_helper_can_be_imported_by_another() -> None:
    files = {"a": "from .b import f\n", "b": "f = 1\n"}
    assert ("unused-helper", "note") not in found("import a\ndef study(rows):\n    return {}", **files)


@pytest.mark.parametrize("name", ["numpy", "pandas__core", "json", "os", "random", "types"])
def test_a_helper_in_a_librarys_place_is_a_danger(name: str) -> None:
    assert ("import", "danger") in found("x = 1", **{name: "mean = 1\n"})


def test_a_helper_hands_rows_back_in_vain() -> None:
    """Helpers' own findings do not depend on who calls them."""
    pairs = found("import h\ndef study(rows):\n    return {'a': h.f(rows)}", h="def f(x):\n    return x[0]\n")
    assert ("row-level", "look") in pairs


def test_columns_that_the_schema_calls_identifiers_are_such() -> None:
    made = code("x = rows['hospital_stay'] == 7")
    assert not [finding for finding in vet(made, "aggregate") if finding.kind is Kind.IDENTIFIER]
    told = vet(made, "aggregate", identifiers=["hospital_stay"])
    assert {finding.severity for finding in told if finding.kind is Kind.IDENTIFIER} == {Severity.LOOK, Severity.DANGER}


# What a finding is.


def test_a_finding_says_where_and_is_json() -> None:
    source = "def study(rows):\n    größe = 'ü'; x = eval('1')\n    return {}\n"
    finding = next(f for f in vet(code(source), "aggregate") if f.kind is Kind.DYNAMIC)
    assert (finding.file, finding.line, finding.column) == (MAIN, 2, source.splitlines()[1].index("eval") + 1)
    assert finding.excerpt == "größe = 'ü'; x = eval('1')"
    assert json.loads(json.dumps(finding.to_dict())) == {
        "file": "study.py",
        "line": 2,
        "column": 22,
        "kind": "dynamic",
        "severity": "danger",
        "message": "Runs text as code with 'eval': then the text you read is not all that runs.",
        "excerpt": "größe = 'ü'; x = eval('1')",
    }


def test_what_a_finding_shows_cannot_fool_its_reader() -> None:
    hostile = "x = rows['\u202e<script>'] == 'P-00123'; m\u0435an\u0301 = 1  # \u2066\x07"
    findings = vet(code(hostile), "aggregate")
    assert findings
    for finding in findings:
        assert finding.message.isascii() and finding.message.isprintable()
        assert finding.excerpt.isprintable()
        assert not any(unicodedata.category(letter) in ("Cf", "Cc") for letter in finding.excerpt)


def test_findings_come_in_the_order_of_the_text() -> None:
    findings = vet(code("import socket\nprint(rows)\neval('1')", a="import os\n", b="import time\n"), "aggregate")
    places = [(finding.file, finding.line) for finding in findings]
    assert places == sorted(places) and len(set(places)) > 3
    assert findings == vet(
        code("import socket\nprint(rows)\neval('1')", b="import time\n", a="import os\n"), "aggregate"
    )


def test_harmless_lines_cannot_push_a_danger_out_of_the_list() -> None:
    source = "\n".join(["getattr(rows, 'a')"] * 3000 + ["eval('1')"])
    findings = vet(code(source), "aggregate")
    assert len(findings) < 200
    assert [f.line for f in findings if f.severity is Severity.DANGER] == [3002]
    assert any("more places" in finding.message for finding in findings)


def test_lines_are_those_of_python() -> None:
    """str.splitlines knows more ends of lines than Python does: a finding would stand beside another line."""
    source = "def study(rows):\n    x = '\u2028\x1c'\r    eval('1')\r\n    return {}\n"
    finding = next(f for f in vet(code(source), "aggregate") if f.kind is Kind.DYNAMIC)
    assert (finding.line, finding.excerpt) == (3, "eval('1')")


def test_a_long_line_is_shown_around_its_place() -> None:
    source = "x = 1; " * 100 + "eval('1'); " + "y = 2; " * 100
    finding = next(f for f in vet(code(source), "aggregate") if f.kind is Kind.DYNAMIC)
    assert "eval('1')" in finding.excerpt and len(finding.excerpt) < 160
    assert finding.excerpt.startswith("...") and finding.excerpt.endswith("...")


@pytest.mark.parametrize(
    ("severities", "said"),
    [
        ("", "Nothing was found; that alone is no reason to approve."),
        ("danger", "1 danger."),
        ("note note", "2 notes."),
        ("danger look danger note look look", "2 dangers, 3 to look at, 1 note."),
    ],
)
def test_a_summary_is_one_sentence(severities: str, said: str) -> None:
    findings = [Finding("a.py", 1, None, Kind.FILES, Severity(one), "m", "e") for one in severities.split()]
    assert summary(findings) == said


def test_there_are_three_shapes() -> None:
    for shape in SHAPES:
        vet(code("pass"), shape)
    with pytest.raises(InvalidInput, match="no shape 'per-site'"):
        vet(code("pass"), "per-site")


def test_a_message_is_a_sentence_of_two_halves() -> None:
    for source, _ in RULES:
        for shape in ("aggregate", "per-patient"):
            for finding in vet(code(source), shape):
                assert finding.message[0].isupper() and finding.message.endswith(".") and ": " in finding.message
                assert not finding.message.endswith("..") and "{}" not in finding.message.replace("'{}'", "")


# No text brings it down.

DEEP = [
    pytest.param("x = " + "-" * 900 + "1", id="unary"),
    pytest.param("x = " + "+".join(["rows"] * 2000), id="sum"),
    pytest.param("x = rows" + ".a" * 900, id="attributes"),
    pytest.param("x = rows" + "[0]" * 900, id="subscripts"),
    pytest.param("x = rows" + "()" * 900, id="calls"),
    pytest.param("x = " + "[" * 90 + "]" * 90, id="lists"),
    pytest.param("x = " + "lambda: " * 300 + "1", id="lambdas"),
    pytest.param("\n".join(f"x{i} = x{i + 1}" for i in range(3000)), id="chain of names"),
    pytest.param("\n".join(f"x = x.a{i}" for i in range(3000)), id="a name of itself"),
    pytest.param("\n".join(f"x{i}, x{i + 1} = x{i + 1}, x{i}" for i in range(1500)), id="swaps"),
    pytest.param("x = " + " if rows else ".join(["rows"] * 300), id="conditions"),
    pytest.param("f = lambda g: g(f)\nx = f(f)(f)(f)", id="functions of themselves"),
    pytest.param("".join(f"{' ' * i}if rows:\n    " for i in range(90)) + " " * 90 + "pass", id="blocks"),
    pytest.param("x = " + " + ".join(["'a'"] * 2000), id="pieces"),
    pytest.param("x = '" + "a" * 300_000 + "'", id="one long text"),
    pytest.param("; ".join(["x = eval"] * 8_000), id="one long line"),
    pytest.param("; ".join(["ü = eval"] * 8_000), id="one long line, not ASCII"),
    pytest.param("x = [" + "1347," * 60_000 + "] == rows", id="one long list"),
    pytest.param("x = '" + "{0." * 60_000 + "'.format(rows)", id="one long pattern"),
    pytest.param("x = '__" + "a" * 200_000 + "'", id="one long name"),
    pytest.param("x = 1" + " " * 300_000 + "# " + "\t" * 50_000, id="spaces"),
    pytest.param("x = rows == '" + "1-" * 100_000 + "'", id="one long value"),
    pytest.param("#" + "coding" * 60_000 + "\nx = 1", id="one long comment"),
]  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.parametrize("source", DEEP)
def test_no_nesting_and_no_size_brings_it_down(source: str) -> None:
    made = code(source)
    assert vet(made, "aggregate") == vet(made, "aggregate")


@pytest.mark.parametrize(
    ("source", "frames_left"),
    [pytest.param("+".join(["rows"] * 2000), 150, id="to parse"), pytest.param("rows" + ".a" * 60, 90, id="to trace")],
)
def test_where_it_cannot_look_it_says_so(source: str, frames_left: int) -> None:
    """Code was parsed with more of the stack left than vetting has: that is no reason to crash, nor to say nothing."""
    made = code(f"x = {source}", a="x = 1\n")

    def deeper(frames: int) -> tuple[Finding, ...]:
        return deeper(frames - 1) if frames else vet(made, "aggregate")

    findings = deeper(sys.getrecursionlimit() - len(inspect.stack()) - frames_left)
    assert {(f.file, f.kind, f.severity) for f in findings} >= {(MAIN, Kind.UNREADABLE, Severity.DANGER)}
    assert any("could not be taken apart" in finding.message for finding in findings)


LEAVES = st.sampled_from(
    [
        "rows",
        "x",
        "np",
        "f",
        "g",
        "eval",
        "getattr",
        "max",
        "print",
        "1",
        "1347",
        "0.5",
        "'a'",
        "'__class__'",
        "b'z'",
        "None",
        "rows.z1",
        "rows['patient']",
        "np.random.x",
        "f'{rows.a!r:>{x}}'",
        "...",
        "_",
        "type",
        "object",
        "__builtins__",
        "'ev'",
    ]
)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(
            "({} {} {})".format,
            inner,
            st.sampled_from(["+", "-", "@", "|", "<<", "==", "<", "in", "is", "and", "or", "if"]),
            inner,
        ).map(lambda text: text.replace(" if ", " if 1 else ")),
        st.builds(
            "{}.{}".format,
            inner,
            st.sampled_from(["a", "iloc", "values", "T", "max", "__dict__", "os", "sum", "format", "agg"]),
        ),
        st.builds("{}({}, *{}, k={})".format, inner, inner, inner, inner),
        st.builds("{}[{}]".format, inner, inner),
        st.builds("{}[{}:{}, 0]".format, inner, inner, inner),
        st.builds("(lambda x, *a, y={}, **k: {})".format, inner, inner),
        st.builds("[{} for x in {} if {}]".format, inner, inner, inner),
        st.builds("{{{}: {}, **{}}}".format, inner, inner, inner),
        st.builds("{{{} for x, (y, *z) in {}}}".format, inner, inner),
        st.builds("(x := {})".format, inner),
        st.builds("({}, *{})".format, inner, inner),
        st.builds("-{}".format, inner),
    ),
    max_leaves=12,
)
TARGETS = st.sampled_from(["x", "f", "np.mean", "rows['a']", "x, (y, *g)", "[x, f]", "x.y[0].z", "sum", "study"])
LINES = st.one_of(
    st.builds("{} = {}".format, TARGETS, EXPRESSIONS),
    st.builds("x: {} = {}".format, EXPRESSIONS, EXPRESSIONS),
    st.builds("x += {}".format, EXPRESSIONS),
    st.builds("raise {} from {}".format, EXPRESSIONS, EXPRESSIONS),
    st.builds("assert {}, {}".format, EXPRESSIONS, EXPRESSIONS),
    st.builds("return {}".format, EXPRESSIONS),
    st.builds("yield {}".format, EXPRESSIONS),
    st.builds("del {}".format, TARGETS.filter(lambda target: "*" not in target)),
    st.builds("for {} in {}: pass".format, TARGETS, EXPRESSIONS),
    st.builds("with {} as {}: pass".format, EXPRESSIONS, TARGETS.filter(lambda target: "," not in target)),
    st.builds("def f(a, /, b={}, *c, d, **e): return {}".format, EXPRESSIONS, EXPRESSIONS),
    st.builds("@{}\n    class A({}, k={}): x = 1".format, EXPRESSIONS, EXPRESSIONS, EXPRESSIONS),
    st.builds(
        "match {}:\n        case A(__x__=1) | [*_] | {{'a': _, **r}} if {}: pass".format, EXPRESSIONS, EXPRESSIONS
    ),
    st.builds("try: {}\n    except {}: pass\n    finally: pass".format, EXPRESSIONS, EXPRESSIONS),
    st.sampled_from(
        ["global x", "from . import a", "from ..b import *", "import a.b.c as d", "pass", "async def f(): await x"]
    ),
)


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(st.lists(LINES, min_size=1, max_size=6), st.lists(LINES.filter(lambda line: "return" not in line), max_size=3))
def test_no_code_brings_it_down(inside: list[str], before: list[str]) -> None:
    top = "".join(line.replace("\n    ", "\n") + "\n" for line in before if not line.startswith("yield"))
    source = f"{top}def study(rows):\n" + "".join(f"    {line}\n" for line in inside)
    try:
        made = Code({MAIN: source, "a.py": source}, "study")
    except InvalidPlan:
        assume(False)
    check_findings(made)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_brings_it_down(comment: str, constant: str) -> None:
    try:
        made = Code(
            {MAIN: f"# {comment}\nx = {constant!a}, '''{constant}'''\ndef study(rows):\n    return x\n"}, "study"
        )
    except InvalidPlan:
        assume(False)
    check_findings(made)


def check_findings(made: Code) -> None:
    for shape in SHAPES:
        findings = vet(made, shape)
        for finding in findings:
            lines = made.files[finding.file].count("\n") + made.files[finding.file].count("\r") + 1
            assert 1 <= finding.line <= lines and (finding.column is None or finding.column >= 1)
            assert finding.excerpt.isprintable()
            json.dumps(finding.to_dict())
