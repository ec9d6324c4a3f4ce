"""Pictures of gradient flow, the textbook's figures, and the files that commands write.

What is a chart is loaded, and matplotlib with it, when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lstm.figures.cell import cell_unrolled
from lstm.figures.files import flow_csv

if TYPE_CHECKING:
    from lstm.figures.answers import (
        plot_alignment,
        plot_attention_routes,
        plot_caption,
        plot_correct_by_length,
    )
    from lstm.figures.bounds import vanishing
    from lstm.figures.dependencies import long_dependency, short_dependency
    from lstm.figures.derivation import cell_gradient
    from lstm.figures.details import flow_details
    from lstm.figures.differences import draw_difference, plot_difference
    from lstm.figures.explorer.written import explorer_of
    from lstm.figures.flow import compare_flows, paths
    from lstm.figures.gender import gender_and_number
    from lstm.figures.page import page_of_table
    from lstm.figures.plots import plot_norms
    from lstm.figures.textbook.fan import attention_fan
    from lstm.figures.textbook.one_cell import (
        cell_line,
        cell_update,
        forget_gate,
        input_gate,
        output_gate,
        variants,
        whole_cell,
    )
    from lstm.figures.textbook.row import repeating_module, rolled, unrolled
    from lstm.figures.textbook.signs import gate, legend
    from lstm.figures.write import write_demo, write_flow

__all__ = [
    "attention_fan",
    "cell_gradient",
    "cell_line",
    "cell_unrolled",
    "cell_update",
    "compare_flows",
    "draw_difference",
    "explorer_of",
    "flow_csv",
    "flow_details",
    "forget_gate",
    "gate",
    "gender_and_number",
    "input_gate",
    "legend",
    "long_dependency",
    "output_gate",
    "page_of_table",
    "paths",
    "plot_alignment",
    "plot_attention_routes",
    "plot_caption",
    "plot_correct_by_length",
    "plot_difference",
    "plot_norms",
    "repeating_module",
    "rolled",
    "short_dependency",
    "unrolled",
    "vanishing",
    "variants",
    "whole_cell",
    "write_demo",
    "write_flow",
]

_LATER = {
    "attention_fan": "lstm.figures.textbook.fan",
    "cell_gradient": "lstm.figures.derivation",
    "cell_line": "lstm.figures.textbook.one_cell",
    "cell_update": "lstm.figures.textbook.one_cell",
    "compare_flows": "lstm.figures.flow",
    "draw_difference": "lstm.figures.differences",
    "explorer_of": "lstm.figures.explorer.written",
    "flow_details": "lstm.figures.details",
    "forget_gate": "lstm.figures.textbook.one_cell",
    "gate": "lstm.figures.textbook.signs",
    "gender_and_number": "lstm.figures.gender",
    "input_gate": "lstm.figures.textbook.one_cell",
    "legend": "lstm.figures.textbook.signs",
    "long_dependency": "lstm.figures.dependencies",
    "output_gate": "lstm.figures.textbook.one_cell",
    "page_of_table": "lstm.figures.page",
    "paths": "lstm.figures.flow",
    "plot_alignment": "lstm.figures.answers",
    "plot_attention_routes": "lstm.figures.answers",
    "plot_caption": "lstm.figures.answers",
    "plot_correct_by_length": "lstm.figures.answers",
    "plot_difference": "lstm.figures.differences",
    "plot_norms": "lstm.figures.plots",
    "repeating_module": "lstm.figures.textbook.row",
    "rolled": "lstm.figures.textbook.row",
    "short_dependency": "lstm.figures.dependencies",
    "unrolled": "lstm.figures.textbook.row",
    "vanishing": "lstm.figures.bounds",
    "variants": "lstm.figures.textbook.one_cell",
    "whole_cell": "lstm.figures.textbook.one_cell",
    "write_demo": "lstm.figures.write",
    "write_flow": "lstm.figures.write",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'lstm.figures' has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
