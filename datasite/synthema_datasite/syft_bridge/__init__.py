"""Where Synthema meets syft 0.10: its datasets, its jobs' folders, its envelopes. Nothing of syft decides here.

syft's packages are optional (``pip install 'synthema[syft]'``), and imported by the functions that need them.
"""

from synthema_datasite.syft_bridge.datasets import import_dataset
from synthema_datasite.syft_bridge.envelopes import read_envelope, write_envelope
from synthema_datasite.syft_bridge.jobs import export_files, read_draft, read_job, write_draft, write_job

__all__ = [
    "export_files",
    "import_dataset",
    "read_draft",
    "read_envelope",
    "read_job",
    "write_draft",
    "write_envelope",
    "write_job",
]
