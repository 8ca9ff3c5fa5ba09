"""Nouns and rules shared by the notebook, the hub and the hospitals. No I/O outside its three rooms."""

__version__ = "0.1.0"
