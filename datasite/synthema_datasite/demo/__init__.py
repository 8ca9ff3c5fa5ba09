"""Real, public patients for the demonstration, from a Python package at run time: no row is shipped with ours."""
