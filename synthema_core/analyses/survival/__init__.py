"""How long patients stay free of an event."""
