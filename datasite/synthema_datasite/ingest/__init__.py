"""Taking a table in: read, checked against its Schema value by value, fixed as an immutable version."""

from synthema_datasite.ingest.schema_file import read_schema
from synthema_datasite.ingest.versions import ingest

__all__ = ["ingest", "read_schema"]
