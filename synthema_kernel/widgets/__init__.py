"""What moves by itself in a notebook."""
