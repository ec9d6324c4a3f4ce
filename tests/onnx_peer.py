"""onnx and onnxruntime, where they are installed, and nodes of ONNX beside models of ours: built,
run by onnxruntime or by onnx's own evaluator, and compared. Files that import this are skipped
elsewhere.
"""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from lstm.params import flatten, unflatten

try:
    import onnx
    from onnx import helper, numpy_helper
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun as OpRun  # for tests with an op of their own
except ImportError:
    pytest.skip("onnx is not installed: pip install '.[onnx]'", allow_module_level=True)
try:
    import onnxruntime
except ImportError:
    pytest.skip("onnxruntime is not installed: pip install onnxruntime", allow_module_level=True)

onnxruntime.set_default_logger_severity(3)
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
T, B, I, H = 7, 4, 3, 5  # noqa: E741
LENGTHS = np.array([7, 1, 4, 6])
OPSET = 17


def assert_close(ours, theirs, what=""):
    """To the tolerance of the dtype, relative to the largest element, or to 1 if that is more."""
    ours = np.asarray(ours.eval() if hasattr(ours, "eval") else ours)
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), what
    scale = max(1.0, float(np.abs(theirs).max(initial=0)))
    atol = TOLERANCE[str(theirs.dtype)] * scale
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol, err_msg=what)


def run_ort(model, feeds):
    """The outputs of a model by their names, by onnxruntime."""
    data = model if isinstance(model, (str, bytes)) else model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def run_reference(model, feeds, **options):
    """The same by onnx's own evaluator, which knows no lengths, and float64."""
    evaluator = ReferenceEvaluator(model, **options)
    return dict(zip(evaluator.output_names, evaluator.run(None, feeds), strict=True))


def tensor(name, array):
    return numpy_helper.from_array(np.asarray(array, order="C"), name)


def info(name, dtype, shape):
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), shape)


def graph_of(nodes, inputs, outputs, initializers, opset=OPSET):
    """A checked model; inputs and outputs: names to (dtype, shape)."""
    graph = helper.make_graph(
        nodes,
        "net",
        [info(name, np.dtype(d), s) for name, (d, s) in inputs.items()],
        [info(name, np.dtype(d), s) for name, (d, s) in outputs.items()],
        [tensor(name, array) for name, array in initializers.items()],
    )
    imports = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def weights(kind, dtype, ways=1, inputs=I, peepholes=False, seed=0, bias=True):
    """W, R, B and P by name, as wide as torch draws them."""
    rng, rows = np.random.default_rng(seed), GATES[kind] * H
    shapes = {"W": (ways, rows, inputs), "R": (ways, rows, H)}
    shapes |= {"B": (ways, 2 * rows)} if bias else {}
    shapes |= {"P": (ways, 3 * H)} if peepholes else {}
    return {
        name: rng.uniform(-(H**-0.5), H**-0.5, shape).astype(dtype)
        for name, shape in shapes.items()
    }


def one_node(kind, dtype="float32", *, direction="forward", told=(), more=None, **attributes):
    """A graph of one node; told: what of "sequence_lens", "initial_h", "initial_c" it reads."""
    ways = 2 if direction == "bidirectional" else 1
    arrays = weights(kind, dtype, ways, peepholes=attributes.pop("peepholes", False))
    layout = attributes.get("layout", 0)
    state = (B, ways, H) if layout else (ways, B, H)
    inputs = {"X": (dtype, (B, T, I) if layout else (T, B, I))}
    all_inputs = {"sequence_lens": ("int32", (B,))}
    all_inputs |= dict.fromkeys(("initial_h", "initial_c"), (dtype, state))
    inputs |= {name: all_inputs[name] for name in told}
    outputs = {"Y": (dtype, (B, T, ways, H) if layout else (T, ways, B, H)), "Y_h": (dtype, state)}
    outputs |= {"Y_c": (dtype, state)} if kind == "LSTM" else {}
    names = ["X", "W", "R", "B", *all_inputs, "P"]
    here = {*inputs, *arrays, *(more or {})}
    while names[-1] not in here:
        names.pop()
    node = helper.make_node(
        kind,
        [name if name in here else "" for name in names],
        [*outputs],
        hidden_size=H,
        direction=direction,
        **attributes,
    )
    return graph_of([node], inputs, outputs, arrays | (more or {}))


def feeds_of(model, lengths=None, seed=1):
    """Numbers for what the graph reads; X is 0 in the padding, where onnxruntime reads it, too."""
    rng, feeds = np.random.default_rng(seed), {}
    for given in model.graph.input:
        kind = given.type.tensor_type
        shape = [dim.dim_value for dim in kind.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        feeds[given.name] = rng.standard_normal(shape).astype(dtype)
    if "sequence_lens" in feeds:
        feeds["sequence_lens"] = np.array(lengths, "int32")
    return feeds


def run_of(model, feeds, *, batch_first=False):
    """What our model gives of the inputs of such a node, on the axes of layout 0, by its names."""
    xs = feeds["X"].swapaxes(0, 1) if batch_first else feeds["X"]
    size = model.cell.hidden_size
    start = flatten(model.initial_state(xs.shape[1]))
    for part, name in {"h": "initial_h", "C": "initial_c"}.items():
        if name in feeds:
            values = feeds[name].swapaxes(0, 1) if batch_first else feeds[name]
            start |= dict(zip(_places(start, part), map(mg.const, values), strict=True))
    run = model.run(xs, state=unflatten(start), lengths=feeds.get("sequence_lens"))
    last = flatten(run.last)
    call = mg.function([], [run.outputs, *last.values()], backend="numpy")
    outputs, *ends = call()
    named = {"Y": outputs.reshape(*outputs.shape[:2], -1, size).swapaxes(1, 2)}
    by_place = dict(zip(last, ends, strict=True))
    for part, name in {"h": "Y_h", "C": "Y_c"}.items():
        if places := _places(last, part):
            named[name] = np.stack([by_place[place] for place in places])
    return named


def _places(parts, part):
    return [name for name in parts if name.endswith(f".{part}")]
