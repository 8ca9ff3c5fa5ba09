"""What a formula makes of a patient's row: a matrix of numbers between -1 and 1, and the way back to original units."""

from synthema_core.design.design import Design
from synthema_core.design.quantities import Quantity

__all__ = ["Design", "Quantity"]
