"""The tables of each kind of result, and its numbers as records for a data frame."""
