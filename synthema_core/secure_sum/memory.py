"""What a site must not forget during a Job, whatever happens to its processes."""

from __future__ import annotations

from typing import Protocol


class Memory(Protocol):
    """Items that are written once. A site that could take one back could be made to answer one question twice."""

    def keep(self, name: str, content: bytes) -> bytes:
        """Have `content` on the disk itself under `name`, unless something is there; return what is there now."""
        ...

    def recall(self, name: str) -> bytes | None:
        """What is kept under `name`, or None. Empty where the content was let go of."""
        ...

    def let_go(self, name: str) -> None:
        """Drop the content, which may be large. The name stays taken."""
        ...
