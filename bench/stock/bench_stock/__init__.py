"""A plain Flower app, as its tutorials write one."""
