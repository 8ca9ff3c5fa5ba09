"""What each built-in analysis answers and takes, for people: `%fed analyses` and `%fed describe` show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_CONFIDENCE = ("confidence", "C", "coverage of intervals; 0.95 if left out")
_TIME = ("time", "T", "the time column, from 0 on")
_EVENT = ("event", "E", "a yes-or-no column: whether the time ended in the event")
_COMPETING = ("competing", "A,B", "the events that exclude it, booleans")

_OF_SUMMARY = (
    ("columns", "a,b", "what is described; all columns but identifiers if left out"),
    ("by", "G", "the groups that are compared"),
    ("by-levels", "a,b", "only these of its levels"),
    ("quantiles", "0.25,0.5,0.75", "which quantiles; none for none"),
    ("quantiles-of", "a,b", "of which columns; all numbers if left out"),
    ("resolution", "a=1,b=0.5", "steps of the grid of a column's quantiles"),
    _CONFIDENCE,
)

Option = tuple[str, str, str]
"""(name, what stands for its value, meaning)."""


@dataclass(frozen=True, slots=True)
class Description:
    """Of one analysis.

    Parameters
    ----------
    answers
        The question that it answers, in a sentence.
    needed, optional
        Its own options, besides those of all questions.
    example
        A line after ``%fed run``, without dataset and purpose.
    """

    answers: str
    needed: tuple[Option, ...]
    optional: tuple[Option, ...]
    example: str

    @property
    def options(self) -> tuple[Option, ...]:
        return (*self.needed, *self.optional)


DESCRIPTIONS: Mapping[str, Description] = {
    "summary": Description(
        "What are the patients like? Counts, missing values, means, quantiles and shares, by group: Table 1.",
        (),
        (
            *_OF_SUMMARY,
            ("tests", "welch|classical|no", "of the groups; welch if left out"),
            ("smd", "yes|no", "differences"),
        ),
        "summary --columns z1,z2,z3 --by group",
    ),
    "summary-private": Description(
        "The same with noise; `summary --epsilon E` asks for it.",
        (),
        _OF_SUMMARY,
        "summary-private --columns age,sex --epsilon 1",
    ),
    "crosstab": Description(
        "Do two categories go together? A table of counts with tests; odds ratio and risks where it is two by two.",
        (("rows", "A", "a category or boolean"), ("columns", "B", "another one")),
        (("missing", "", "a missing value is a level of its own"), _CONFIDENCE),
        "crosstab --rows group --columns d3",
    ),
    "crosstab-private": Description(
        "The same with noise; `crosstab --epsilon E` asks for it.",
        (("rows", "A", "a category or boolean"), ("columns", "B", "another one")),
        (("missing", "", "a missing value is a level of its own"), _CONFIDENCE),
        "crosstab-private --rows group --columns d3 --epsilon 3",
    ),
    "histogram": Description(
        "How many patients have which values? Counts with noise.",
        (),
        (
            ("column", "C", "whose values; all patients in one count if left out"),
            ("bins", "N", "equal parts of a number's range; 10 if left out"),
            ("edges", "a,b,c", "instead: where the parts meet"),
            ("rows-per-patient", "R", "rows of a patient that are used, of those who have several"),
            ("cells-per-patient", "N", "cells that a patient may count in"),
            _CONFIDENCE,
        ),
        "histogram --column flt3 --epsilon 0.5",
    ),
    "histogram-exact": Description(
        "How many patients have which values? Exact counts; `histogram --exact` asks for it.",
        (),
        (
            ("column", "C", "whose values; all patients in one count if left out"),
            ("bins", "N", "equal parts of a number's range; 10 if left out"),
            ("edges", "a,b,c", "instead: where the parts meet"),
        ),
        "histogram-exact --column group",
    ),
    "mean": Description(
        "What is the mean of a number? With noise.",
        (("column", "C", "a number"),),
        (
            ("clip", "low,high", "values beyond are moved to the nearer end: the closer, the less noise"),
            ("rows-per-patient", "R", "rows of a patient that are used, of those who have several"),
            _CONFIDENCE,
        ),
        "mean --column age --clip 20,80 --epsilon 0.5",
    ),
    "kaplan-meier": Description(
        "How long do patients stay free of an event? Survival by group on a grid of times, and the log-rank test.",
        (_TIME, _EVENT),
        (
            ("group", "G", "the curves that are compared"),
            ("by-levels", "a,b", "only these of its levels"),
            ("step", "S", "width of the time grid; a site's policy sets the least"),
            ("exact-times", "", "the times themselves, where every site's policy allows it"),
            ("horizon", "H", "end of the grid; the schema's longest time if left out"),
            ("at", "365,730", "times at which survival is told, and compared where there are two groups"),
            ("rmst", "T", "mean time free of the event up to T, and its difference where there are two groups"),
            _CONFIDENCE,
        ),
        "kaplan-meier --time t2 --event d3 --group group --step 90",
    ),
    "kaplan-meier-private": Description(
        "The same with noise; `kaplan-meier --epsilon E` asks for it.",
        (_TIME, _EVENT),
        (
            ("group", "G", "the curves that are compared; more groups cost nothing"),
            ("by-levels", "a,b", "only these of its levels"),
            ("step", "S", "width of the time grid; a twentieth of the horizon if left out"),
            ("horizon", "H", "end of the grid; the schema's longest time if left out"),
            ("at", "365,730", "times at which survival is told, and compared where there are two groups"),
            ("rmst", "T", "mean time free of the event up to T, and its difference where there are two groups"),
            _CONFIDENCE,
        ),
        "kaplan-meier-private --time t2 --event d3 --group group --epsilon 3",
    ),
    "cumulative-incidence": Description(
        "How often does an event come first, where others exclude it? Curves by group, with Gray's test.",
        (_TIME, _EVENT, _COMPETING),
        (
            ("group", "G", "a category or boolean"),
            ("by-levels", "a,b", "only these levels of it"),
            ("step", "S", "width of the time grid; a month if left out"),
            ("exact-times", "", "whole-numbered times as they are, where a site allows it"),
            ("horizon", "T", "the end of the curves"),
            ("at", "t1,t2", "incidence to these times, compared where there are two groups"),
            _CONFIDENCE,
        ),
        "cumulative-incidence --time t2 --event d2 --competing d1 --group group --step 180",
    ),
    "cumulative-incidence-private": Description(
        "The same with noise; `cumulative-incidence --epsilon E` asks for it.",
        (_TIME, _EVENT, _COMPETING),
        (
            ("group", "G", "a category or boolean"),
            ("by-levels", "a,b", "only these levels of it"),
            ("step", "S", "width of the time grid; a twentieth of the horizon if left out"),
            ("horizon", "T", "the end of the curves"),
            ("at", "t1,t2", "incidence to these times, compared where there are two groups"),
            _CONFIDENCE,
        ),
        "cumulative-incidence-private --time t2 --event d2 --competing d1 --epsilon 3",
    ),
    "cox": Description(
        "Which covariates raise or lower the hazard of an event, and by how much? Stratified by site.",
        (_TIME, _EVENT),
        (
            ("covariates", "a,b,c", "columns; a category is compared with its first code"),
            ("formula", "F", "instead: terms with interactions, references and splines"),
            ("ties", "efron|breslow", "how events at the same time are taken; efron if left out"),
            ("robust", "", "standard errors that hold if the model does not (sandwich)"),
            ("l2", "L", "a ridge penalty"),
            ("strata", "C", "further strata, within sites"),
            ("entry", "T0", "when a patient came under observation"),
            ("ph", "km|rank|log|identity|none", "the time scale of the test of proportional hazards; km if left out"),
            ("baseline-step", "S", "a baseline hazard on a grid of times"),
            ("stratify", "site|none", "none: one baseline for all sites, on a grid"),
            ("step", "S", "the grid of the unstratified form"),
            _CONFIDENCE,
        ),
        "cox --time t2 --event d3 --covariates z1,z2,group",
    ),
    "cox-private": Description(
        "The same with noise; `cox --epsilon E` asks for it. One baseline hazard for all sites.",
        (_TIME, _EVENT),
        (
            ("covariates", "a,b,c", "columns; a category is compared with its first code"),
            ("formula", "F", "instead: terms with interactions, references and splines"),
            ("horizon", "T", "patients are followed until then; the schema's longest time if left out"),
            _CONFIDENCE,
        ),
        "cox-private --time t2 --event d3 --covariates z1,z2 --epsilon 10",
    ),
    "glm": Description(
        "How does an outcome depend on covariates? Linear, logistic and Poisson regression, with an effect a site.",
        (("formula", '"y ~ a + b"', "outcome and terms, with interactions, references and splines"),),
        (
            ("family", "gaussian|binomial|poisson", "of the outcome; gaussian if left out"),
            ("offset", "X", "a term with coefficient 1, such as the log of the exposure"),
            ("weights", "W", "a column of weights"),
            ("l2", "L", "a ridge penalty"),
            ("site-effects", "yes|no", "an intercept for each site, which no sum shows; yes if left out"),
            ("robust", "", "standard errors that hold if the model does not (sandwich)"),
            _CONFIDENCE,
        ),
        'glm --formula "d3 ~ z1 + C(group)" --family binomial',
    ),
    "glm-private": Description(
        "The same with noise; `glm --epsilon E` asks for it. One intercept for all sites.",
        (("formula", '"y ~ a + b"', "outcome and terms, with interactions, references and splines"),),
        (
            ("family", "gaussian|binomial|poisson", "of the outcome; gaussian if left out"),
            ("offset", "X", "a term with coefficient 1, such as the log of the exposure"),
            _CONFIDENCE,
        ),
        'glm-private --formula "d3 ~ z1 + z2" --family binomial --epsilon 10',
    ),
    "diffprivlib": Description(
        "A model of diffprivlib at each site, averaged after every site's release decision; no formal guarantee.",
        (("model", "M", "see the how-to for which there are"), ("columns", "a,b", "what it is fitted on")),
        (
            ("target", "T", "what it explains, for models that explain something"),
            ("epsilon", "E", "its own cost; 1 if left out"),
            ("c", "C", "inverse strength of a logistic regression's penalty"),
        ),
        "diffprivlib --model pca --columns z1,z2",
    ),
}
