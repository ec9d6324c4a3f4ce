"""The JAX backend: a plan as one function that XLA compiles, for a CPU, a GPU or many devices."""
