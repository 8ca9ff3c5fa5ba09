"""What a template needs of this machine: an interpreter, the libraries' folders, and the few files of ours inside."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from synthema_core.errors import Unavailable

#: Without the first three there is no template; the others are there for the code to use where a site has them.
_NEEDED = ("numpy", "pandas", "safetensors")
_LIBRARIES = (*_NEEDED, "scipy", "sklearn", "statsmodels", "lifelines", "patsy", "dateutil", "pytz", "six")
_SYSTEM = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib")
_SECONDS_OF_ONE_THREAD = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB")
_BOOT = (
    "import sys; sys.modules['pyarrow'] = None; sys.path.insert(0, {root!r}); sys.path += {libraries!r}; "
    "from synthema_core.sandbox.inside.template import main; main({control})"
)


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where Python, its libraries and our own inside are.

    Parameters
    ----------
    program
        The interpreter itself, no link to it.
    libraries
        Folders that Python searches for what is installed.
    system
        Folders of Python's own modules, and of the libraries of C that the others need.
    root
        The folder in which `synthema_core` is.
    """

    program: str
    libraries: tuple[str, ...]
    system: tuple[str, ...]
    root: str

    @classmethod
    def of_this_process(cls) -> Runtime:
        own = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), sysconfig.get_config_var("LIBDIR")]
        return cls(
            str(Path(sys.executable).resolve()),
            tuple(_folders_of(_LIBRARIES)),
            tuple(dict.fromkeys(path for path in (*_SYSTEM, *own) if path and Path(path).is_dir())),
            str(Path(__file__).parents[2]),
        )

    @property
    def readable(self) -> tuple[str, ...]:
        """The folders in which a child may read: where a library of the code's is imported from."""
        return (*self.system, *self.libraries)

    @property
    def inside(self) -> tuple[str, ...]:
        """Our own files that a template imports, and no others of ours."""
        package = Path(self.root, "synthema_core")
        return tuple(str(package / part) for part in ("__init__.py", "sandbox/__init__.py", "sandbox/inside"))

    def command(self, control: int, boot: str = _BOOT) -> list[str]:
        """Start a template that serves on the socket with this descriptor.

        Isolated, without the site module: what an installed package wants run at every start is not run. Arrow stays
        out: pandas 2 works without it, and every page that the template takes is a page that each fork copies.
        """
        text = boot.format(root=self.root, libraries=list(self.libraries), control=control)
        return [self.program, "-I", "-S", "-B", "-X", "utf8", "-c", text]

    @property
    def environment(self) -> dict[str, str]:
        """All of it: a second thread could not start in a child."""
        return {f"{library}_NUM_THREADS": "1" for library in _SECONDS_OF_ONE_THREAD}


def _folders_of(names: Iterable[str]) -> list[str]:
    """Each real folder that holds one of these packages. Raises Unavailable if one that is needed is not there."""
    folders = []
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            if name in _NEEDED:
                raise Unavailable(f"The sandbox needs the package {name}.", "Install synthema[kernel] or [datasite].")
            continue
        place = Path(spec.origin).resolve()
        folders.append(str(place.parents[1] if spec.submodule_search_locations else place.parent))
    own = os.path.realpath(sysconfig.get_path("stdlib"))
    return [folder for folder in dict.fromkeys(folders) if folder != own]
