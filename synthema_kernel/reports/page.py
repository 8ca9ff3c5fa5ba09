"""An executed notebook as one HTML file: pictures inside, no script, no font or library fetched."""

from __future__ import annotations

from html import escape
from typing import Any

from nbconvert import HTMLExporter
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode
from traitlets.config import Config

from synthema_core import __version__

_WIDGET = "application/vnd.jupyter.widget-view+json"
_SHOWN = frozenset({"text/html", "text/markdown", "text/plain", "image/svg+xml", "image/png", "image/jpeg"})
_TAG_HIDDEN = "hide-in-report"


class _Still(Preprocessor):
    """Replaces what needs a live page by its text: a widget is blank without its kernel."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        nb.metadata.pop("widgets", None)
        nb.cells = [cell for cell in nb.cells if not _is_hidden(cell)]
        return super().preprocess(nb, resources)

    def preprocess_cell(
        self, cell: NotebookNode, resources: dict[str, Any], index: int
    ) -> tuple[NotebookNode, dict[str, Any]]:
        del index
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            for kind in [kind for kind in data if kind == _WIDGET or kind not in _SHOWN]:
                del data[kind]
        return cell, resources


def _is_hidden(cell: NotebookNode) -> bool:
    """Cells of papermill and cells that set things up say nothing to a report's reader."""
    tags = cell.metadata.get("tags", [])
    return _TAG_HIDDEN in tags or "parameters" in tags or "injected-parameters" in tags


def to_page(notebook: NotebookNode, *, show_code: bool = False) -> str:
    """The page as text.

    Parameters
    ----------
    show_code
        False leaves code, and the numbers of cells, out.
    """
    config = Config()
    config.HTMLExporter.preprocessors = [_Still]
    config.HTMLExporter.exclude_input = not show_code
    config.HTMLExporter.exclude_input_prompt = True
    config.HTMLExporter.exclude_output_prompt = True
    config.HTMLExporter.exclude_anchor_links = True
    config.HTMLExporter.enable_async_widgets = False
    body, _ = HTMLExporter(config=config, template_name="basic").from_notebook_node(notebook)
    return _PAGE.format(title=escape(_title(notebook)), style=_STYLE, body=body, version=escape(__version__))


def _title(notebook: NotebookNode) -> str:
    for cell in notebook.cells:
        for line in str(cell.source).splitlines():
            if cell.cell_type == "markdown" and line.startswith("# "):
                return line.removeprefix("# ")
    return "Report"


_STYLE = """
:root { color-scheme: light dark; }
body { margin: 0 auto; max-width: 860px; padding: 28px 20px 40px;
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 26px; line-height: 1.25; } h2 { font-size: 20px; margin-top: 34px; } h3 { font-size: 16px; }
h1, h2 { border-bottom: 1px solid rgba(128, 128, 128, .35); padding-bottom: 6px; }
pre { overflow-x: auto; font: 12.5px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .92em; }
.highlight, .input_area { background: rgba(128, 128, 128, .09); border-radius: 6px; padding: 2px 12px; }
table { border-collapse: collapse; } td, th { padding: 3px 12px 3px 0; text-align: left; }
img, svg { max-width: 100%; height: auto; }
.dataframe { font-size: 13px; border: 0; }
.dataframe td, .dataframe th { text-align: right; padding: 3px 0 3px 14px; border: 0;
  border-bottom: 1px solid rgba(128, 128, 128, .35); }
.output_stderr { color: #b3261e; }
footer { margin-top: 40px; font-size: 12px; opacity: .7; }
@page { margin: 16mm 14mm; }
@media print { body { padding: 0; } svg, table, tr { break-inside: avoid; } h1, h2, h3, caption, .synthema > p {
  break-after: avoid; } }
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
<footer>Made by Synthema {version} from signed Releases. This file is complete: it opens without a network.</footer>
</body>
</html>
"""
