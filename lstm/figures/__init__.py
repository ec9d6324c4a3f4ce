"""Pictures of gradient flow, and the files that `lstm demo` and `lstm flow` write."""

from lstm.figures.cell import cell_unrolled
from lstm.figures.files import flow_csv
from lstm.figures.flow import compare_flows, paths
from lstm.figures.write import write_demo, write_flow

__all__ = ["cell_unrolled", "compare_flows", "flow_csv", "paths", "write_demo", "write_flow"]
