"""Researchers' own code, as nouns and rules: what is sent, what it declares, how long it may take. Runs nothing."""
