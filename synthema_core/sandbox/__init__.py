"""Where code that nobody trusts runs: a process that can compute on the rows it is given, and nothing else."""
