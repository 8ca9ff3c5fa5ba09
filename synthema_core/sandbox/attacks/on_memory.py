"""Attacks by what an evaluation leaves for the next, and by what it finds of the one before."""

from __future__ import annotations

from synthema_core.sandbox.attacks.case import Attack, Field


def _leaves(name: str, tries: str, leave: str, find: str, *, provable: bool = True, quick: bool = False) -> Attack:
    """`leave` is a statement, `find` an expression that is true if it is still there."""
    source = f"""
import builtins, pandas
def attempt(rows, bait):
    note = rows["note"].iloc[0]
    if rows["turn"].iloc[0] == 1:
        works(lambda: {leave})
        return 0.0
    try:
        return float({find})
    except (OSError, LookupError, AttributeError):
        return 0.0
"""
    return Attack(Field.MEMORY, name, tries, source, turns=2, provable=provable, quick=quick)


_FINDS_TEXTS = """
def attempt(rows, bait):
    if rows["turn"].iloc[0] == 1:
        builtins_of_this = __builtins__
        return 0.0
    note = re.compile("patient-[0-9a-f]{32}")
    seen, todo = set(), gc.get_objects()
    while todo and len(seen) < 2_000_000:
        thing = todo.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if type(thing) in (str, bytes) and note.search(thing if type(thing) is str else thing.decode("latin-1")):
            return 1.0
        if type(thing) in (dict, list, tuple, set):
            todo.extend(gc.get_referents(thing))
    return 0.0
"""
_FILE = "os.path.join(bait['writable'], 'left')"

ON_MEMORY = (
    _leaves(
        "attributes",
        "Keep rows in a module.",
        "setattr(pandas, 'left', note)",
        "pandas.left",
        quick=True,
        provable=False,
    ),
    _leaves(
        "patches",
        "Change what a library does.",
        "setattr(pandas.DataFrame, 'sum', note)",
        "pandas.DataFrame.sum == bait",
        provable=False,
    ),
    _leaves("modules", "Add a module.", "sys.modules.update(left=os)", "'left' in sys.modules", provable=False),
    _leaves(
        "variables for later", "Set a variable.", "os.environ.update(LEFT=note)", "'LEFT' in os.environ", provable=False
    ),
    _leaves("files for later", "Write a file.", f"open({_FILE}, 'w').close()", f"os.unlink({_FILE}) or 1"),
    _leaves(
        "segments for later",
        "Keep rows in shared memory.",
        "syscall('shmget', 77, 8, 0o1666)",
        "syscall('shmctl', syscall('shmget', 77, 0, 0), 0, None) == 0",
    ),
    _leaves(
        "random numbers",
        "Fix the next one's random numbers.",
        "np.random.seed(1)",
        "np.random.rand() == 0.417022004702574",
        provable=False,
    ),
    Attack(
        Field.MEMORY,
        "texts",
        "Find another evaluation's rows in this process's memory.",
        _FINDS_TEXTS,
        turns=2,
        provable=False,
    ),
)
