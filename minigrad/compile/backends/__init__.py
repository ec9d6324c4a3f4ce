"""What runs a plan: NumPy, the reference, and machine code."""
