"""What Python's and NumPy's syntax on an expression means."""
