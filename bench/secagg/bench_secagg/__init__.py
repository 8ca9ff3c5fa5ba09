"""A Flower app whose rounds may be masked, as Flower's own example of SecAgg+ writes one."""
