"""Running a template with papermill, in a kernel of this very environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import papermill
from jupyter_client.manager import AsyncKernelManager
from papermill.exceptions import PapermillException, PapermillExecutionError
from traitlets import default

from synthema_core.errors import InvalidInput, RoundFailed, SynthemaError, Unavailable
from synthema_kernel.reports.page import to_page

_KERNEL = "python3"  # the native kernel: jupyter_client starts it with this process's own interpreter
_START_SECONDS = 120
_QUIET = "--log-level=CRITICAL"  # a kernel may log the interrupt that comes before its end


def run_report(
    template: Path,
    parameters: Mapping[str, Any],
    output_folder: Path,
    environment: Mapping[str, str],
    *,
    show_code: bool = False,
) -> Path:
    """Run a notebook and write it and its HTML page into a folder; return the page's path.

    Parameters
    ----------
    parameters
        Values for the cell tagged ``parameters``.
    environment
        The kernel's whole environment, with the federation's address and token.
    show_code
        Whether the page contains the notebook's code, folded.

    Raises
    ------
    InvalidInput
        For a parameter that the template does not have.
    RoundFailed
        With the message of the cell that failed; the notebook is kept as it was at that moment.
    Unavailable
        If the folder cannot be written or the kernel does not start.
    """
    notebook = output_folder / template.name
    _check_parameters(template, parameters)
    try:
        output_folder.mkdir(parents=True, exist_ok=True)
        papermill.execute_notebook(
            str(template),
            str(notebook),
            parameters=dict(parameters),
            kernel_name=_KERNEL,
            kernel_manager_class=_manager_with(environment),
            progress_bar=False,
            start_timeout=_START_SECONDS,
        )
    except PapermillExecutionError as error:
        raise _first_line_of(error, notebook) from None
    except OSError as error:
        raise Unavailable(
            f"The report's folder '{output_folder}' cannot be written: {error.strerror}.", "Choose another --output."
        ) from None
    except (PapermillException, RuntimeError) as error:
        raise Unavailable(f"The report's kernel did not run: {error}.", "Is the package installed whole?") from None
    page = notebook.with_suffix(".html")
    page.write_text(to_page(nbformat.read(notebook, as_version=4), show_code=show_code), encoding="utf-8")
    return page


def _check_parameters(template: Path, parameters: Mapping[str, Any]) -> None:
    known = papermill.inspect_notebook(str(template))
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        hint = f"It has {', '.join(known)}." if known else "It has none."
        raise InvalidInput(f"The template '{template.stem}' has no parameter '{unknown[0]}'.", hint)


def _manager_with(environment: Mapping[str, str]) -> type[AsyncKernelManager]:
    """A kernel manager whose kernels get exactly this environment; papermill has no setting for it.

    Their messages are encrypted: other people on the machine may listen on its loopback.
    """

    class Manager(AsyncKernelManager):
        @default("transport_encryption")
        def _encrypted(self) -> str:
            return "auto"

        async def start_kernel(self, **arguments: Any) -> None:  # type: ignore[override]  # an alias there
            quiet = [*arguments.get("extra_arguments", ()), _QUIET]
            await super().start_kernel(**{**arguments, "env": dict(environment), "extra_arguments": quiet})

    return Manager


def _first_line_of(error: PapermillExecutionError, notebook: Path) -> SynthemaError:
    return RoundFailed(
        f"A cell of the report failed: {str(error.evalue).splitlines()[0]}", f"See the notebook {notebook}."
    )
