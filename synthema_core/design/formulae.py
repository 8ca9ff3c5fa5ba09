"""The right-hand side of a formula, taken apart by `formulaic`: only here, and only where a researcher types."""

from __future__ import annotations

from synthema_core.errors import InvalidInput, Unavailable

_HINT = "For example age + C(arm) + bs(bmi, df=3) + age:C(arm); see docs/reference/formulae."
_LONGEST = 5_000


def split_formula(formula: str) -> tuple[str, str]:
    """The outcome and the right-hand side of ``y ~ a + b``."""
    outcome, sign, right = formula.partition("~")
    if not sign or not outcome.strip() or not right.strip() or "~" in right:
        raise InvalidInput(f"'{formula}' is no formula.", "For example --formula 'y ~ age + C(arm)'.")
    return outcome.strip(), right.strip()


def terms_of(formula: str) -> tuple[tuple[str, ...], ...]:
    """The terms of a right-hand side, each as the texts of its factors; those of fewer factors first.

    Raises
    ------
    InvalidInput
        For what is no formula, and for one without an intercept, which is the model's business.
    """
    try:
        from formulaic.parser import DefaultFormulaParser
    except ImportError:
        raise Unavailable("Formulae need the package formulaic.", "Install synthema[kernel].") from None
    if len(formula) > _LONGEST:
        raise InvalidInput("The formula is too long to read.", "Use fewer terms.")
    try:
        terms = list(DefaultFormulaParser(include_intercept=True).get_terms(formula))
        read = [tuple(factor.expr for factor in term.factors) for term in terms]
    except Exception as error:  # the parser raises errors of many kinds
        raise InvalidInput(f"'{formula}' cannot be read as a formula.", _HINT) from error
    if ("1",) not in read:
        raise InvalidInput("A formula cannot leave the intercept out.", "Remove the 0 or -1: the model has its own.")
    read.remove(("1",))
    return tuple(sorted(read, key=len))
