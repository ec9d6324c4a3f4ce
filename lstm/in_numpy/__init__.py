"""A model as a file of NumPy's calls, which runs without minigrad."""
