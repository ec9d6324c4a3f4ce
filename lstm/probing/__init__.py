"""What a trained model has learnt, asked of it: which inputs decide, and which units know what."""

from lstm.probing.swaps import swap_influence

__all__ = ["swap_influence"]
