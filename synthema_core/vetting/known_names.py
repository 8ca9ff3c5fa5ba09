"""Names of functions, methods and columns that a reviewer should know of. Tables only; the rules are elsewhere.

A method's name is a concern on whatever it is called: what an object is cannot be known without running the code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from synthema_core.vetting.finding import Kind, Severity
from synthema_core.vetting.remark import Concern, words

_DANGER, _LOOK, _NOTE = Severity.DANGER, Severity.LOOK, Severity.NOTE
_NOT_THE_TEXT = "then the text you read is not all that runs"
_NO_FILES = "the rows come as the function's argument and there is nothing else to read or write"
_ROWS = "a result made of single patients' values is not a statistic"
_EXTREME = "the largest, smallest or first value is that of one patient"
_SMALL = "in a small group this is one patient's value; ask how small the groups can be"
_ASK = "ask what it is for"

Table = Mapping[str, Concern]


def _table(*groups: tuple[Concern, frozenset[str]]) -> Table:
    return MappingProxyType({name: concern for concern, names in groups for name in names})


BUILTINS: Table = _table(
    (
        Concern(Kind.DYNAMIC, _DANGER, "Runs text as code with '{}'", _NOT_THE_TEXT),
        words("eval exec compile __import__"),
    ),
    (
        Concern(Kind.DYNAMIC, _DANGER, "Reaches names that are not written here with '{}'", _NOT_THE_TEXT),
        words("globals setattr delattr breakpoint __builtins__ __loader__ __spec__"),
    ),
    (
        Concern(Kind.DYNAMIC, _LOOK, "Looks names up while it runs with '{}'", "you cannot read here which are meant"),
        words("getattr vars locals dir hasattr help"),
    ),
    (Concern(Kind.FILES, _DANGER, "Opens a file with '{}'", _NO_FILES), words("open")),
    (
        Concern(Kind.OUTPUT, _LOOK, "Waits for somebody to type with '{}'", "nobody is there while it runs"),
        words("input"),
    ),
    (Concern(Kind.NATIVE, _LOOK, "Touches raw memory with '{}'", _ASK), words("memoryview")),
    (
        Concern(Kind.PACKING, _LOOK, "Handles raw bytes with '{}'", "values can be hidden in them"),
        words("bytes bytearray"),
    ),
    (
        Concern(Kind.LEAK, _LOOK, "Ends the run with '{}'", "whether a run fails can carry a patient's value"),
        words("exit quit"),
    ),
    (
        Concern(Kind.SINGLING_OUT, _LOOK, "Makes fingerprints of values with '{}'", "one can pick one patient"),
        words("hash"),
    ),
    (Concern(Kind.DYNAMIC, _LOOK, "Builds text from numbers with '{}'", _ASK), words("chr")),
)

METHODS: Table = _table(
    (
        Concern(Kind.DYNAMIC, _DANGER, "Runs text as code with '.{}'", _NOT_THE_TEXT),
        words("eval query exec compile_command get_type_hints make_dataclass load_module exec_module"),
    ),
    (
        Concern(Kind.DYNAMIC, _LOOK, "Looks names up while it runs with '.{}'", "you cannot read here which are meant"),
        words("attrgetter methodcaller import_module format_map vformat with_traceback"),
    ),
    (
        Concern(Kind.FILES, _DANGER, "Reads or writes files with '.{}'", _NO_FILES),
        words(
            "read_csv read_table read_fwf read_json read_excel read_parquet read_feather read_sql read_sql_query "
            "read_sql_table read_html read_xml read_hdf read_orc read_sas read_spss read_stata read_clipboard "
            "read_gbq to_csv to_excel to_parquet to_feather to_sql to_hdf to_stata to_clipboard to_gbq to_orc "
            "to_xml to_html ExcelWriter ExcelFile HDFStore loadtxt genfromtxt savetxt save savez savez_compressed "
            "tofile fromfile fromregex memmap open_memmap DataSource read_text read_bytes write_text write_bytes "
            "savemat loadmat load dump load_svmlight_file dump_svmlight_file fetch_openml fetch_california_housing "
            "unlink rmtree makedirs"
        ),
    ),
    (
        Concern(
            Kind.PICKLE, _DANGER, "Turns data into code with '.{}'", "a stored object can run anything when loaded"
        ),
        words("read_pickle to_pickle Unpickler Pickler"),
    ),
    (
        Concern(
            Kind.NATIVE, _DANGER, "Touches raw memory or machine code with '.{}'", "what it does cannot be read here"
        ),
        words("ctypes ctypeslib as_strided LowLevelCallable load_library f2py data_as CDLL"),
    ),
    (Concern(Kind.NATIVE, _LOOK, "Touches raw memory with '.{}'", _ASK), words("frombuffer getbuffer")),
    (
        Concern(Kind.PACKING, _LOOK, "Handles the bits of values with '.{}'", "values can be hidden in the bits"),
        words(
            "tobytes view packbits unpackbits frexp ldexp nextafter spacing from_bytes to_bytes hex left_shift "
            "right_shift bitwise_or bitwise_xor bitwise_and float_to_string"
        ),
    ),
    (
        Concern(Kind.OPAQUE, _LOOK, "Decodes text or bytes with '.{}'", "ask what is encoded, and why"),
        words("decode fromhex b64decode decompress unhexlify maketrans translate"),
    ),
    (
        Concern(Kind.NOISE, _LOOK, "Makes random numbers with '.{}'", "noise of the code's own protects nobody"),
        words("default_rng RandomState laplace normal standard_normal rvs shuffle permutation randint random_sample"),
    ),
    (
        Concern(Kind.NOISE, _LOOK, "Sets a seed with '.{}'", "noise from a known seed can be taken off again"),
        words("seed set_state SeedSequence"),
    ),
    (Concern(Kind.OUTPUT, _NOTE, "Prints about the rows with '.{}'", "it goes to you alone"), words("info")),
    (
        Concern(
            Kind.TIME,
            _LOOK,
            "Reads the clock with '.{}'",
            "how long something takes can carry a patient's value; an analysis of rows needs no clock",
        ),
        words(
            "now today utcnow perf_counter monotonic process_time perf_counter_ns time_ns sleep clock_gettime "
            "thread_time"
        ),
    ),
    (
        Concern(Kind.PROCESS, _DANGER, "Starts or controls processes with '.{}'", "an evaluation is one process"),
        words(
            "fork forkpty spawnv system popen Popen Thread Process ThreadPool ThreadPoolExecutor "
            "ProcessPoolExecutor kill"
        ),
    ),
    (
        Concern(
            Kind.PATCHING, _LOOK, "Changes what a library does with '.{}'", "later lines may not mean what they seem"
        ),
        words("register_accessor register_dataframe_accessor register_series_accessor set_option seterrcall setattr"),
    ),
    (
        Concern(Kind.ROW_LEVEL, _LOOK, "Takes single rows with '.{}'", _ROWS),
        words(
            "head tail sample iloc iat nth get_group take truncate to_dict to_records to_json to_string to_markdown "
            "to_latex itertuples iterrows iteritems repr explode popitem lookup xs first last first_valid_index "
            "last_valid_index"
        ),
    ),
    (
        Concern(Kind.ROW_LEVEL, _NOTE, "Handles rows one by one with '.{}'", _ROWS),
        words(
            "loc at items item squeeze pop tolist to_list applymap shift cumsum cumprod cummax cummin rolling "
            "expanding ewm"
        ),
    ),
    (
        Concern(Kind.EXTREME, _LOOK, "Takes an extreme with '.{}'", _EXTREME),
        words(
            "max min nanmax nanmin amax amin idxmax idxmin argmax argmin nanargmax nanargmin nlargest nsmallest ptp "
            "mode partition argpartition multimode"
        ),
    ),
    (
        Concern(Kind.EXTREME, _NOTE, "Looks at single values with '.{}'", _SMALL),
        words(
            "unique nunique value_counts crosstab pivot_table pivot quantile percentile nanquantile nanpercentile "
            "median nanmedian describe rank duplicated drop_duplicates searchsorted"
        ),
    ),
    (
        Concern(Kind.SORTING, _NOTE, "Puts rows in order with '.{}'", "a place in the order can point at one patient"),
        words("sort argsort lexsort sort_values sort_index"),
    ),
    (
        Concern(Kind.STATE, _NOTE, "Remembers results with '.{}'", "nothing is kept between two evaluations"),
        words("lru_cache cache cached_property"),
    ),
)

STRING_METHODS = words(
    "max min idxmax idxmin argmax argmin first last nth mode nlargest nsmallest head tail sample unique"
)
"""Method names that pandas takes as text, as in ``.agg("max")``."""
TAKES_NAMES = words("agg aggregate apply transform pipe map applymap")

EQUALITY_METHODS = words("eq ne isin equal not_equal in1d array_equal isclose allclose get index count")
RANGE_METHODS = words("between lt le gt ge less greater less_equal greater_equal clip digitize")

HARMLESS_DUNDERS = words("__name__ __all__ __doc__ __future__ __version__ __main__")
PLAIN_SPECIAL_METHODS = words(
    "__init__ __post_init__ __len__ __iter__ __next__ __call__ __eq__ __lt__ __le__ __gt__ __ge__ __ne__ __add__ "
    "__radd__ __sub__ __mul__ __rmul__ __truediv__ __neg__ __str__ __repr__ __enter__ __exit__ __contains__ "
    "__getitem__ __slots__ __bool__ __float__ __int__"
)
"""What a class may define without a question; reading or writing them as attributes is one."""

SEED_ARGUMENTS = frozenset({"seed", "random_state", "rng"})
PARALLEL_ARGUMENTS = frozenset({"n_jobs", "max_workers", "workers", "num_threads"})

IDENTIFIER_COLUMN = re.compile(
    r"(?:.*_)?(?:id|patient|patientid|subject|mrn|nhs|ssn|pid|pseudonym|identifier|case|person|usubjid|"
    r"upn|crid|ahv)(?:_?(?:id|no|nr|number|key|code))?",
    re.IGNORECASE,
)
IDENTIFIER_VALUE = re.compile(r"(?=(?:.*\d){3})[A-Za-z0-9][A-Za-z0-9_:./-]{4,63}")
"""A text with at least three digits and no space, such as P-00123."""

# What keeps patients' values as they are, one by one.
KEEPS_ROWS = words(
    "values to_numpy T copy astype dropna fillna reset_index set_index to_frame array asarray reshape ravel flatten "
    "abs round clip where mask rename reindex assign filter loc iloc head tail sample to_dict to_list tolist items "
    "keys sort_values sort_index sort shift diff cumsum rank get squeeze transpose query take repeat nlargest "
    "nsmallest to_records unique drop_duplicates index str dt cat iat at real view tobytes join pop"
)
SORTS_ROWS = words("sort_values sort_index sort nlargest nsmallest rank")
SIZES = words("shape size ndim dtype dtypes columns empty name names nbytes")
KEEPING_FUNCTIONS = words(
    "builtins.list builtins.tuple builtins.sorted builtins.dict builtins.reversed builtins.iter builtins.enumerate "
    "builtins.zip builtins.float builtins.int builtins.str builtins.abs builtins.map builtins.filter numpy.array "
    "numpy.asarray numpy.asanyarray numpy.ascontiguousarray numpy.sort numpy.ravel numpy.concatenate numpy.stack "
    "numpy.vstack numpy.hstack numpy.column_stack numpy.nan_to_num numpy.clip numpy.where numpy.round numpy.resize "
    "numpy.pad numpy.log numpy.exp numpy.sqrt numpy.abs numpy.float64 numpy.flip numpy.roll numpy.cumsum "
    "numpy.unique numpy.reshape numpy.transpose numpy.atleast_1d numpy.copy numpy.take numpy.compress numpy.extract "
    "numpy.tile numpy.repeat numpy.append numpy.diff numpy.rint numpy.floor pandas.DataFrame pandas.Series "
    "pandas.concat pandas.to_numeric"
)
SORTING_FUNCTIONS = frozenset({"builtins.sorted", "numpy.sort", "numpy.unique"})
