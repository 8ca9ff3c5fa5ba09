"""What analyses have in common that ask sites once, about nothing but what their Plan says."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from synthema_core.analyses.base import Next
from synthema_core.errors import Refused
from synthema_core.secure_sum.layout import Floats


class OneRound:
    """A base for frozen dataclasses."""

    __slots__ = ()

    answer_seconds: ClassVar[float] = 0.0

    @property
    def max_rounds(self) -> int:
        return 1

    def begin(self) -> Next:
        return Next(np.zeros(0))

    def check_input(self, values: Floats) -> None:
        if values.shape != (0,):
            raise Refused("This analysis takes no input.", rule="iterate")
