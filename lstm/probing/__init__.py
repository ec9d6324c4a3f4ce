"""What a trained model has learnt, asked of it: which inputs decide, and which units know what."""

from lstm.probing.states import Inquiry, Probe, probe, without_units
from lstm.probing.swaps import swap_influence

__all__ = ["Inquiry", "Probe", "probe", "swap_influence", "without_units"]
