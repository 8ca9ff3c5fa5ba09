"""Attacks on time, memory and patience, and ways to end that could confuse whoever waits for the end."""

from __future__ import annotations

from synthema_core.sandbox.attacks.case import Attack, Field
from synthema_core.sandbox.port import End

_TIME = (End.TIMEOUT,)
_SPACE = (End.MEMORY, End.KILLED, End.RETURNED)


def _is(name: str, tries: str, body: str, ends: tuple[End, ...], *, provable: bool = False) -> Attack:
    """Most cannot be shown to get through without a sandbox: they would take the machine with them."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return Attack(Field.LIMITS, name, tries, f"def attempt(rows, bait):\n{lines}", ends, provable=provable)


_MANY_PIECES = """
kept = []
try:
    while len(kept) < 256:
        kept.append(bytearray(1 << 20))
    return 1.0
except MemoryError:
    return 0.0
"""
_HELD = """
kept = []
while True:
    kept.append(bytearray(1 << 20))
"""
_DEAF = """
for number in range(1, 65):
    works(lambda: signal.signal(number, signal.SIG_IGN))
while True:
    pass
"""
_BLIND = """
for number in range(64):
    works(os.close, number)
while True:
    pass
"""

ON_LIMITS = (
    _is("loop", "Compute for ever.", "while True: pass", _TIME),
    _is("sleep", "Wait for ever, which takes no processor time.", "while True: select.poll().poll(60_000)", _TIME),
    _is("one long call", "Compute for ever in one call of a library.", "pow(3, 10 ** 9)", (*_TIME, End.MEMORY)),
    _is("slow pattern", "Let a pattern search for ever.", "re.match('(a+)+$', 'a' * 64 + 'b')", _TIME),
    _is("deaf", "Ignore every signal.", _DEAF, _TIME),
    _is("blind", "Close every file, and go on.", _BLIND, _TIME),
    _is("100 GB", "Ask for 100 GB at once.", "return works(bytearray, 100 << 30)", _SPACE),
    _is(
        "2 GB of nothing",
        "Ask for 2 GB that are not used.",
        "return works(mmap.mmap, -1, 2 << 30)",
        _SPACE,
        provable=True,
    ),
    _is("many pieces", "Ask for a little again and again.", _MANY_PIECES, _SPACE, provable=True),
    _is("memory held", "Ask for more until it is killed.", _HELD, (End.MEMORY, End.KILLED)),
    _is("endless output", "Send results for ever.", "while True: os.write(3, bytes(1 << 16))", (End.BAD_OUTPUT,)),
    _is(
        "output and wait",
        "Send a little more than it may, and wait.",
        "os.write(3, bytes((1 << 20) - 1))\nos.write(3, bytes(99))\nselect.poll().poll(60_000)",
        (End.BAD_OUTPUT,),
    ),
    _is("endless log", "Print for ever.", "while True: os.write(1, b'x' * 65536)", _TIME),
    _is("endless errors", "Print errors for ever.", "while True: print('x' * 1000, file=sys.stderr)", _TIME),
    _is("recursion", "Call itself for ever.", "attempt(rows, bait)", (End.RAISED,)),
    _is(
        "deep recursion",
        "Call itself until the stack ends.",
        "sys.setrecursionlimit(1 << 30)\nattempt(rows, bait)",
        (End.MEMORY, End.KILLED, End.RAISED, End.TIMEOUT),
    ),
    _is("bad address", "Crash.", "ctypes.string_at(1)", (End.KILLED,)),
    _is("abort", "Abort.", "os.abort()", (End.KILLED,)),
    _is("exit", "End as if it had returned.", "os._exit(0)", (End.KILLED,)),
    _is("false alarm", "Say that it could not be confined.", "os.write(3, b'\\x15')\nos._exit(90)", (End.KILLED,)),
    _is("exit by error", "Raise SystemExit.", "sys.exit(0)", (End.RAISED,)),
    _is("interrupt", "Raise KeyboardInterrupt.", "raise KeyboardInterrupt", (End.RAISED,)),
    _is(
        "odd error",
        "Raise what is no Exception and cannot be printed.",
        "raise type('E', (BaseException,), {'__str__': lambda self: 1 / 0})",
        (End.RAISED,),
    ),
    _is("memory error", "Say that memory ran out.", "raise MemoryError", (End.MEMORY,)),
    _is(
        "many files open",
        "Open the same file again and again.",
        "return any_of([lambda: [open(os.__file__) for _ in range(200)]])",
        (End.RETURNED,),
        provable=True,
    ),
)
