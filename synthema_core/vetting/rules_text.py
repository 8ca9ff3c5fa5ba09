"""Rules on the text as it stands: whether what a reader sees is what Python reads."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import unicodedata
from collections.abc import Iterator

from synthema_core.vetting.finding import Kind, Severity
from synthema_core.vetting.folding import folded
from synthema_core.vetting.reading import Reading, newer_syntax
from synthema_core.vetting.remark import Concern, Remark, words

_LONG_LINE, _DEEP, _LONG_TEXT, _LONG_BYTES, _BIG_INTEGER_BITS, _LONG_TABLE = 200, 30, 300, 24, 128, 40
_HIDING_SPACES = re.compile(r"[^\s#][ \t]{30,}[^\s#]")
_ENCODED = re.compile(r"[A-Za-z0-9+/=_-]{40,}|(?:\\x[0-9a-f]{2}){8,}")
_CODING = re.compile(r"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_PLAIN_CODINGS = frozenset({"utf-8", "utf8", "utf-8-sig", "ascii", "us-ascii"})

_BIDI = Concern(
    Kind.HIDDEN_TEXT,
    Severity.DANGER,
    "Holds the character {}, which changes the order or look of text",
    "what you see is not what runs",
)
_INVISIBLE = Concern(
    Kind.HIDDEN_TEXT, Severity.DANGER, "Holds the character {}, which does not show", "what you see is not what runs"
)
_CODED = Concern(
    Kind.HIDDEN_TEXT,
    Severity.DANGER,
    "Asks to be read in the encoding '{}'",
    "stored as a file, it would be other code than you read here",
)
_LOOKALIKE = Concern(
    Kind.HIDDEN_TEXT,
    Severity.DANGER,
    "The name '{}' has letters that look like others",
    "two names that look the same can be different, or the other way round",
)
_FOREIGN = Concern(
    Kind.HIDDEN_TEXT, Severity.LOOK, "The name '{}' has letters outside ASCII", "compare it letter by letter"
)
_SPACES = Concern(
    Kind.HIDDEN_TEXT, Severity.LOOK, "Has code far to the right, after many spaces", "scroll to read all of the line"
)
_LONG = Concern(Kind.UNREADABLE, Severity.LOOK, "A very long line ({} characters)", "ask for it in pieces you can read")
_NESTED = Concern(
    Kind.UNREADABLE, Severity.LOOK, "Expressions deep within each other", "ask for them in steps that have names"
)
_NEW = Concern(Kind.SYNTAX, Severity.LOOK, "Uses '{}', newer than the Python at sites", "it may not run there")
_BLOB = Concern(
    Kind.OPAQUE, Severity.LOOK, "Holds a constant that cannot be read ({})", "ask what it says; it can hold anything"
)
_TABLE = Concern(
    Kind.OPAQUE, Severity.LOOK, "Holds a list of {} constants", "it can name patients by their values; ask what it is"
)


def characters(reading: Reading) -> Iterator[Remark]:
    """Bidirectional controls (Boucher, Anderson 2021: Trojan Source) and whatever does not show, comments too."""
    for number, line in enumerate(reading.lines, 1):
        if line.isascii() and line.isprintable():
            continue
        for place, character in enumerate(line):
            category = unicodedata.category(character)
            if character == "\t" or category not in ("Cf", "Cc", "Co", "Cn", "Zl", "Zp"):
                continue
            name = f"{unicodedata.name(character, 'control')} (U+{ord(character):04X})"
            bidi = unicodedata.bidirectional(character) in (
                "LRE",
                "RLE",
                "LRO",
                "RLO",
                "PDF",
                "LRI",
                "RLI",
                "FSI",
                "PDI",
            )
            yield (_BIDI if bidi else _INVISIBLE).on(number, name, len(line[:place].encode(errors="replace")))
            break


def codings(reading: Reading) -> Iterator[Remark]:
    """PEP 263: a comment in the first two lines decides how a file is decoded."""
    for number, line in enumerate(reading.lines[:2], 1):
        found = _CODING.match(line)
        if found and found[1].lower().replace("_", "-") not in _PLAIN_CODINGS:
            yield _CODED.on(number, found[1])


def letters(reading: Reading) -> Iterator[Remark]:
    """Names outside ASCII: as typed, since `ast` holds them normalised (PEP 3131)."""
    if reading.text.isascii():
        return
    seen: set[tuple[int, str]] = set()
    try:
        for token in tokenize.generate_tokens(io.StringIO(reading.text).readline):
            if token.type == tokenize.NAME and not token.string.isascii():
                if (token.start[0], token.string) in seen:
                    continue
                seen.add((token.start[0], token.string))
                offset = len(token.line[: token.start[1]].encode(errors="replace"))
                concern = _LOOKALIKE if _looks_like_others(token.string) else _FOREIGN
                yield concern.on(token.start[0], token.string, offset)
    except (tokenize.TokenError, SyntaxError, ValueError):
        yield _FOREIGN.on(1, "?")


def _looks_like_others(name: str) -> bool:
    """Whether it becomes another name when read, mixes scripts, or is in one whose letters pass for Latin."""
    scripts = {unicodedata.name(letter, "?").partition(" ")[0] for letter in name if letter.isalpha()}
    read = unicodedata.normalize("NFKC", name)
    return (read != name and read.isascii()) or not (scripts <= {"LATIN"} or scripts <= {"GREEK", "MICRO"})


def lines(reading: Reading) -> Iterator[Remark]:
    for number, line in enumerate(reading.lines, 1):
        if len(line) > _LONG_LINE:
            yield _LONG.on(number, f"{len(line):,}")
        if _HIDING_SPACES.search(line[:10_000]):
            yield _SPACES.on(number)


def nesting(reading: Reading) -> Iterator[Remark]:
    for visit in reading.visits:
        if visit.depth > _DEEP:
            yield _NESTED.at(visit.node)
        if name := newer_syntax(visit):
            yield _NEW.at(visit.node, name)


def blobs(reading: Reading) -> Iterator[Remark]:
    """Constants that hold more than they show."""
    for visit in reading.each(ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict):
        node = visit.node
        if isinstance(node, ast.Constant):
            size = "" if isinstance(visit.parent, ast.Expr) else _opaque(node)
            if size:
                yield _BLOB.at(node, size)
            continue
        items = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [])
        count = sum(isinstance(item, ast.Constant) for item in items)
        if count > _LONG_TABLE:
            yield _TABLE.at(node, str(count))


def _opaque(node: ast.Constant) -> str:
    value = node.value
    if isinstance(value, int) and value.bit_length() > _BIG_INTEGER_BITS:
        return f"a number of {value.bit_length():,} bits"
    if isinstance(value, bytes) and len(value) > _LONG_BYTES:
        return f"{len(value):,} bytes"
    if isinstance(value, str):
        escaped = sum(not letter.isprintable() and letter not in "\n\t" for letter in value[:2000])
        if len(value) > _LONG_TEXT or _ENCODED.search(value) or escaped > 2:
            return f"text of {len(value):,} characters"
    return ""


_PIECED = Concern(
    Kind.DYNAMIC,
    Severity.DANGER,
    "Puts the word '{}' together from pieces",
    "words are cut up so that a reader does not see them",
)
_HIDDEN_WORDS = words(
    "eval exec compile open getattr setattr globals builtins import os sys io socket subprocess system popen pickle "
    "ctypes importlib shutil pathlib read_csv to_csv read_pickle patient"
)


def pieces(reading: Reading) -> Iterator[Remark]:
    for visit in reading.each(ast.BinOp, ast.Call, ast.JoinedStr, ast.Subscript):
        assert isinstance(visit.node, ast.expr)
        text = folded(visit.node)
        if text and (text in _HIDDEN_WORDS or (text.startswith("__") and text.endswith("__"))):
            yield _PIECED.at(visit.node, text)
