"""How the gradient of one batch flows back through a model: numbers, and what they mean in words.

`equations` takes a step apart, `slopes` finds the nonlinearity of a state, `way_back` goes back
through all steps, `steps`, `parts`, `cuts`, `linear_maps` and `across` have the numbers, `tensors`
and `source` where they come from, `glance` and `summary` what they come to, `words` and `advice`
what they mean.
"""

from __future__ import annotations

from lstm.gradient_flow.across import StepMap
from lstm.gradient_flow.advice import Advice, advice
from lstm.gradient_flow.attended import Routes, attention_routes
from lstm.gradient_flow.comparing import Comparison, check_flow, compare
from lstm.gradient_flow.cuts import Knockout
from lstm.gradient_flow.differences import Difference
from lstm.gradient_flow.linear_maps import Waterfall
from lstm.gradient_flow.measured import Flow
from lstm.gradient_flow.measuring import flow
from lstm.gradient_flow.summary import GateValues, Memory, Saturation, Slope, Split
from lstm.gradient_flow.tensors import Loss, Place, loss_of
from lstm.gradient_flow.watch import FlowWatch
from lstm.gradient_flow.words import describe, diagnose, path_words
from minigrad.chains import Jump, Series

__all__ = [
    "Advice",
    "Comparison",
    "Difference",
    "Flow",
    "FlowWatch",
    "GateValues",
    "Jump",
    "Knockout",
    "Loss",
    "Memory",
    "Place",
    "Routes",
    "Saturation",
    "Series",
    "Slope",
    "Split",
    "StepMap",
    "Waterfall",
    "advice",
    "attention_routes",
    "check_flow",
    "compare",
    "describe",
    "diagnose",
    "flow",
    "loss_of",
    "path_words",
]
