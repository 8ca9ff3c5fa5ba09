"""Tables: what patients are like, and what goes together."""
