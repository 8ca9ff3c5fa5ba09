"""What the checks look at and what they cannot see, for the page; one sentence each."""

from __future__ import annotations

from synthema_core.disclosure.margins import MOST_ALIKE, MOST_SINGLE

_CHECKED = {
    "Small cells": "counts of 1 up to min_patients - 1 patients of this site, and counts of all but so few; numbers "
    "that are all whole, from 0 to the number of patients, are read as counts too.",
    "Steps and remainders": "a curve of counts that only falls or rises shows how many patients come between two "
    "points; a group without one of its parts shows the others; both are checked like cells.",
    "Secondary suppression": "whoever knows all values that are not left out, the totals among them and the number of "
    "patients must not narrow a hidden count to fewer than min_patients values, nor a hidden number to within 20 % of "
    "itself; further cells are suggested until integer programs show that.",
    "Totals that are found": "a last or first index that is the sum of the others, outputs that are another one summed "
    "over axes, copies of one or of a line or cell of it, parts that make up a whole, and running sums; read off the "
    "numbers, so one may be by chance.",
    "Rates": "numbers that are a count divided by another, by its total or by all patients go where their count goes, "
    "and numbers of a group go where the counts of that shape are small.",
    "Whole groups": "lines of a table of which everybody is in one cell, and groups of which all or none are counted.",
    "One patient": "the code is run again without each patient (or a sample): no count may change by more than 1, no "
    "number by more than half of it through one patient who stands out, and none may depend on few patients alone.",
    "Values of patients": "a number that is a value which fewer than min_patients patients have, or its negative, "
    "square, root or logarithm, or 10, 100, 1000 or all-patients times it; and outputs that copy a column.",
    "Digits": "numbers of which the digits in base 2, 10, 16, 100, 256 or 1000 are values of consecutive rows, and "
    "whole numbers larger than any sum.",
    "Earlier releases": "outputs of the same shape that differ from one this site contributed before by few patients "
    "or by a patient's value, and those that repeat one.",
    "How many numbers": "more than max_numbers_per_patient times the patients, or as many numbers as patients.",
}
_NOT_CHECKED = {
    "Not seen: hidden codes": "any code can write rows into innocent numbers, for instance encrypted into the last "
    "digits of means: no check sees that. Reading the code, and few and coarse outputs, are the protection.",
    "Not seen: code that knows it is checked": "code can behave well whenever a patient is left out; running it again "
    "adds findings, and its silence proves nothing.",
    "Not seen: the other sites": "the checks see this site's numbers alone; a cell that is small here may be large in "
    "the sum, and groups that are small only in combination with another site's numbers go unnoticed.",
    "Not seen: other sums": f"totals of parts of a line, weighted sums, two that make up a third among more than "
    f"{MOST_ALIKE} outputs of one shape ({MOST_SINGLE} single numbers); two patients' values added up; what is known "
    "from outside.",
    "Not promised": "no finding is no guarantee: only noise gives one (code per patient or per block).",
}


def describe_checks() -> list[tuple[str, str]]:
    """(name, sentence) of everything that is checked, then of what is not."""
    return [*_CHECKED.items(), *_NOT_CHECKED.items()]
