"""Attacks by what comes back: anything that is not the declared numbers must count for nothing."""

from __future__ import annotations

from synthema_core.sandbox.attacks.case import Attack, Field
from synthema_core.sandbox.port import End

_ANY_FAILURE = (End.BAD_OUTPUT, End.RAISED, End.RETURNED, End.MEMORY, End.TIMEOUT)


def _returns(name: str, expression: str) -> Attack:
    source = f"def attempt(rows, bait):\n    return {expression}\n"
    return Attack(Field.OUTPUT, name, f"Return {name}.", source, _ANY_FAILURE, provable=False)


def _writes(name: str, tries: str, expression: str) -> Attack:
    """Bytes of the code's own on the result pipe, instead of what the trusted half would write."""
    source = f"""
def head(tensors, payload=b"", length=None):
    text = tensors if isinstance(tensors, bytes) else json.dumps(tensors).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + payload
def tensor(dtype="F64", shape=(), offsets=(0, 8)):
    return {{"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}}
ONE = struct.pack("<d", 1.0)
HALVES = [json.dumps({{"got": tensor("I32", (), half)}})[1:-1] for half in ((0, 4), (4, 8))]
TWICE = ("{{" + ",".join(HALVES) + "}}").encode()
def attempt(rows, bait):
    content = {expression}
    content += struct.pack("=BQ", 0, 0)  # as if all had gone well
    while content:
        content = content[os.write(3, content):]
    os._exit(0)
"""
    return Attack(Field.OUTPUT, name, tries, source, _ANY_FAILURE, provable=False)


ON_OUTPUT = (
    _returns("an object", "object()"),
    _returns("a text", "'1'"),
    _returns("bytes", "b'1'"),
    _returns("nothing", "None"),
    _returns(
        "a class that lies", "type('Lie', (), {'__array__': lambda self, *a, **k: 'x', '__len__': lambda self: 1})()"
    ),
    _returns("rows", "rows"),
    _returns("another shape", "np.ones((1, 1))"),
    _returns("an enormous shape", "np.broadcast_to(np.ones(1), (1 << 40,))"),
    _returns("not a number", "float('nan')"),
    _returns("infinity", "float('inf')"),
    _returns("a complex number", "1j"),
    _returns("a date", "np.datetime64('2020-01-01')"),
    _returns("a number of 4,000 digits", "10 ** 4000"),
    _returns("another name", "{'other': 1.0}"),
    _returns("more names", "{'got': 1.0, 'more': 1.0}"),
    _returns(
        "a mapping that never ends", "type('D', (dict,), {'items': lambda self: ((str(i), 1) for i in range(10**9))})()"
    ),
    _returns("an iterator", "iter([1.0])"),
    _writes("pickle", "Send an object that runs code when it is read.", "pickle.dumps({'got': 1.0})"),
    _writes("JSON", "Send another format.", "b'{\"got\": 1.0}'"),
    _writes("noise", "Send bytes that mean nothing.", "os.urandom(10_000)"),
    _writes("empty", "Send nothing and end as if all were well.", "b''"),
    _writes("half", "Send the half of a result.", "head({'got': tensor()}, ONE)[:20]"),
    _writes("long head", "Announce a head of 16 exabytes.", "head({'got': tensor()}, ONE, (1 << 64) - 1)"),
    _writes(
        "large head",
        "Send a head of half a megabyte.",
        "head(json.dumps({'got': tensor()}).encode() + b' ' * 500_000, ONE)",
    ),
    _writes("deep head", "Send a head that is nested 30,000 deep.", "head(b'[' * 30_000)"),
    _writes(
        "huge shape",
        "Announce more values than memory holds.",
        "head({'got': tensor(shape=[1 << 60], offsets=[0, 1 << 63])})",
    ),
    _writes(
        "overflowing shape",
        "Announce sizes whose product is 0 in 64 bits.",
        "head({'got': tensor(shape=[1 << 32, 1 << 32], offsets=[0, 0])})",
    ),
    _writes("many dimensions", "Announce 1,000 dimensions.", "head({'got': tensor(shape=[1] * 1000)}, ONE)"),
    _writes("negative size", "Announce a size below zero.", "head({'got': tensor(shape=[-1])}, ONE)"),
    _writes("overlap", "Let two arrays share their bytes.", "head({'got': tensor(), 'b': tensor()}, ONE)"),
    _writes("outside", "Point outside the file.", "head({'got': tensor(offsets=[8, 16])}, ONE)"),
    _writes("surplus", "Hide rows behind the arrays.", "head({'got': tensor()}, ONE + b'4711,f,34')"),
    _writes("unknown kind", "Send a kind of number nobody knows.", "head({'got': tensor('X64')}, ONE)"),
    _writes(
        "small floats", "Send floats that numpy does not have.", "head({'got': tensor('F8_E4M3', (), (0, 1))}, b'1')"
    ),
    _writes(
        "text offsets",
        "Give places as text.",
        "head({'got': {'dtype': 'F64', 'shape': [], 'data_offsets': ['0', '8']}}, ONE)",
    ),
    _writes("double name", "Give one name twice.", "head(TWICE, ONE)"),
    _writes(
        "many names",
        "Give 1,000 names.",
        "head({str(i): tensor('I8', [], (i, i + 1)) for i in range(900)}, bytes(900))",
    ),
)
