"""Whom a question is about, and columns made of others: a language, its meaning under a schema, its evaluation."""

from synthema_core.cohort.cohort import EVERYONE, Cohort, Derived

__all__ = ["EVERYONE", "Cohort", "Derived"]
