"""Reports: a notebook run by papermill and written as one HTML file that opens without a network, or printed."""

from __future__ import annotations

from synthema_kernel.reports.pdf import print_pdf
from synthema_kernel.reports.run import run_report
from synthema_kernel.reports.templates import find_template

__all__ = ["find_template", "print_pdf", "run_report"]
