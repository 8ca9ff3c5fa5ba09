"""A Schema from its YAML file."""

from __future__ import annotations

from pathlib import Path

import yaml

from synthema_core.errors import InvalidSchema
from synthema_core.schemas import Schema


def read_schema(path: Path) -> Schema:
    """The Schema in that file.

    Raises
    ------
    InvalidSchema
        If it cannot be read, is not YAML (naming the line), or is not a Schema.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidSchema(
            f"The schema {path} cannot be read: {error.strerror}.", "Check its path and rights."
        ) from None
    except UnicodeDecodeError:
        raise InvalidSchema(f"The schema {path} is not UTF-8 text.", "Save it as UTF-8.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise InvalidSchema(f"The schema {path} is not YAML{where}.", "Mind colons and indentation.") from None
    return Schema.from_dict(data)
