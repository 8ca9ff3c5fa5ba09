"""Regression with noise: Newton's method on sums of patients' bounded scores."""
