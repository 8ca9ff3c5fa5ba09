"""The hub's two entrances: one for browsers and notebooks, one for the sites. Each a process of its own."""
