"""Measured comparisons: `make bench`. Never in the test suite."""
