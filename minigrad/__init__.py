"""minigrad: symbolic automatic differentiation of scalars and tensors, in graphs you can draw.

    x = mg.var("x")
    y = mg.sin(x) * x  # operators, mg.* and NumPy's own functions build graphs
    mg.grad(y, x).eval({x: 0.5})  # a gradient is a graph, too

Leaves

    var             a symbolic input, by name, shape and dtype
    param           a leaf that carries a value, which training writes
    const           a tensor of numbers

Derivatives

    grad            the gradient of a scalar, by one node, a list or a dict of them
    vjp, jvp        a cotangent taken back, a tangent taken forward
    jacobian        of a tensor
    hessian, hvp    second derivatives, and their product with a vector
    adjoints        every node's adjoint, and every edge's own term: an Adjoints
    derive          how a derivative is found, in steps with the names of rules: a Derivation
    check_grad      a gradient beside differences of values
    custom_vjp      a function with a derivative that you state
    stop_gradient   a value through which no derivative goes
    scale_gradient  a value of whose derivative a share goes on
    reroute         a graph that lets a share of the gradient through chosen edges

Running

    function        a graph compiled to a function of its variables: a Function
    eval            the value of a graph, or of a nesting of them
    scan            a loop as a node of the graph
    unroll          the same loop as plain nodes
    to_jax          a graph as a pure function of JAX
    vmap            a function of one for many at once

Graphs

    draw            a picture, with measured values and gradients
    charts          curves and strips of magnitudes, by matplotlib
    flow            how the gradient flows back along a chain of nodes, in numbers: a Chain
    simplify        rewritten until no rule fits
    substitute      nodes replaced by others
    toposort        all nodes, arguments first
    free_variables  the variables that a graph reads
    to_str          as text
    to_latex        as LaTeX
    save, load      as a JSON file
    to_onnx         as an ONNX file, which other engines run
    dumps, loads    as a JSON text
    verify          whether a graph is sound

Randomness, from explicit keys

    key             a key, from a seed
    fold_in         a new key, from one and a number
    uniform         numbers of [0, 1)

To extend it

    Op, Attr        an operation in one record, and what an attribute of one is
    register        an op of your own
    implements      what a function of NumPy's does with expressions
    rule, Rule      a rewrite of your own
    RULES, LOOPS    the rewrites of graphs, and of loops
    Backend, register_backend
                    what runs a graph elsewhere

Functions as the array API standard and NumPy have them

    elementwise     abs acos acosh add asin asinh atan atan2 atanh cbrt ceil clip conj copysign cos
                    cosh deg2rad divide erf exp exp2 expm1 floor floor_divide fmax fmin fmod
                    heaviside hypot hypot_slope imag log log10 log1p log2 logaddexp logaddexp2
                    maximum minimum multiply nan_to_num negative nextafter positive pow rad2deg
                    real reciprocal relu remainder round sigmoid sigmoid_slope sign sinc sin sinh
                    softplus sqrt square subtract tan tanh tanh_slope trunc unwrap
    tests           allclose array_equal equal greater greater_equal isclose isfinite isinf isnan
                    less less_equal logical_and logical_not logical_or logical_xor not_equal signbit
    bits            bitwise_and bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift
                    bitwise_xor
    choice          select where
    sums and such   all any average count_nonzero cumulative_prod cumulative_sum log_softmax
                    logsumexp max mean median min nanmax nanmean nanmin nanprod nanstd nansum nanvar
                    percentile prod ptp quantile softmax std sum trapezoid variance
    shape           append array_split atleast_1d atleast_2d atleast_3d block broadcast_arrays
                    broadcast_to column_stack concat delete diff dstack expand_dims flip hstack
                    insert matrix_transpose meshgrid moveaxis pad permute_dims ravel repeat reshape
                    roll rot90 split squeeze stack swapaxes tile tril triu unstack vstack
    elements        argmax argmin argsort searchsorted sort take take_along_axis
    products        convolve corrcoef correlate cov cross dot einsum inner kron matmul outer
                    tensordot vdot vecdot
    matrices        cholesky det diag diagonal eigh eigvalsh inv linalg matrix_norm matrix_power
                    matrix_rank pinv qr slogdet solve svd svdvals trace vector_norm
    curves          interp polyval
    making          arange asarray empty empty_like eye from_dlpack full full_like linspace ones
                    ones_like zeros zeros_like
    types           TensorType astype bool can_cast finfo float32 float64 iinfo int16 int32 int64
                    int8 isdtype result_type uint16 uint32 uint64 uint8
    numbers         e inf nan newaxis pi

Classes and errors

    Expr            a node: what all of these make
    Function        what `function` gives
    Adjoints        what `adjoints` gives
    Chain           what `flow` gives
    Derivation      what `derive` gives
    MinigradError   the base of all errors that are raised on purpose: DTypeError, GradientError,
                    GraphError, GraphFileError, MissingPackageError, NonFiniteError,
                    OpenGraphError, OutOfRangeError, ShapeError
"""

from typing import TYPE_CHECKING, Any

from minigrad import linalg
from minigrad.check import check_grad, verify
from minigrad.compile.backends.jax.pure import to_jax
from minigrad.compile.backends.registry import Backend, register_backend
from minigrad.compile.compiled import Function, function
from minigrad.compile.evaluate import eval
from minigrad.derivatives.adjoints import Adjoints
from minigrad.derivatives.api import adjoints, grad, hessian, hvp, jacobian, jvp, vjp
from minigrad.errors import (
    DTypeError,
    GradientError,
    GraphError,
    GraphFileError,
    MinigradError,
    MissingPackageError,
    NonFiniteError,
    OpenGraphError,
    OutOfRangeError,
    ShapeError,
)
from minigrad.graph.leaves import const, param, var
from minigrad.graph.node import Attr, Expr, Op, register
from minigrad.graph.numpy_call import end_of_ours as _end_of_ours
from minigrad.graph.walk import free_variables, substitute, toposort
from minigrad.loop.api import scan, unroll
from minigrad.loop.passes import LOOPS
from minigrad.loop.routes import reroute
from minigrad.mapped import vmap
from minigrad.names import implements, what_instead
from minigrad.namespace import Info as _Info
from minigrad.namespace import (
    asarray,
    bool,
    can_cast,
    e,
    finfo,
    float32,
    float64,
    from_dlpack,
    iinfo,
    inf,
    int8,
    int16,
    int32,
    int64,
    isdtype,
    nan,
    newaxis,
    pi,
    result_type,
    uint8,
    uint16,
    uint32,
    uint64,
)
from minigrad.onnx.api import to_onnx
from minigrad.ops.activations import erf, logaddexp, relu, sigmoid, sigmoid_slope, softplus
from minigrad.ops.arithmetic import (
    abs,
    add,
    cbrt,
    ceil,
    conj,
    copysign,
    divide,
    floor,
    floor_divide,
    fmod,
    imag,
    multiply,
    negative,
    nextafter,
    positive,
    pow,
    real,
    reciprocal,
    remainder,
    round,
    sign,
    sqrt,
    square,
    subtract,
    trunc,
)
from minigrad.ops.calculus import (
    convolve,
    correlate,
    interp,
    polyval,
    trapezoid,
    unwrap,
)
from minigrad.ops.choice import clip, maximum, minimum, where
from minigrad.ops.comparisons import (
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    equal,
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    not_equal,
    signbit,
)
from minigrad.ops.contraction import einsum
from minigrad.ops.core import (
    astype,
    broadcast_to,
    reshape,
    sum,
)
from minigrad.ops.creation import (
    arange,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    zeros,
    zeros_like,
)
from minigrad.ops.custom import (
    custom_vjp,
    scale_gradient,
    stop_gradient,
)
from minigrad.ops.elementwise import (
    allclose,
    array_equal,
    deg2rad,
    exp2,
    fmax,
    fmin,
    heaviside,
    isclose,
    logaddexp2,
    nan_to_num,
    rad2deg,
    select,
    sinc,
)
from minigrad.ops.exponential_sums import log_softmax, logsumexp, softmax
from minigrad.ops.exponentials import exp, expm1, log, log1p, log2, log10
from minigrad.ops.factor import (
    eigh,
    eigvalsh,
    matrix_norm,
    matrix_rank,
    pinv,
    qr,
    svd,
    svdvals,
)
from minigrad.ops.index_syntax import (
    flip,
    take,
    take_along_axis,
)
from minigrad.ops.linalg import (
    cross,
    diagonal,
    dot,
    matmul,
    outer,
    tensordot,
    trace,
    vecdot,
    vector_norm,
)
from minigrad.ops.matrix_functions import cholesky, det, inv, matrix_power, slogdet, solve
from minigrad.ops.numpy_forms import ravel
from minigrad.ops.numpy_products import inner, kron, vdot
from minigrad.ops.random import fold_in, key, uniform
from minigrad.ops.reduce import (
    all,
    any,
    count_nonzero,
    cumulative_prod,
    cumulative_sum,
    max,
    mean,
    min,
    prod,
    std,
    variance,
)
from minigrad.ops.shape import (
    broadcast_arrays,
    concat,
    diff,
    expand_dims,
    matrix_transpose,
    meshgrid,
    moveaxis,
    permute_dims,
    repeat,
    roll,
    squeeze,
    stack,
    swapaxes,
    tile,
    tril,
    triu,
    unstack,
)
from minigrad.ops.sorting import (
    argmax,
    argmin,
    argsort,
    searchsorted,
    sort,
)
from minigrad.ops.stacking import (
    append,
    array_split,
    atleast_1d,
    atleast_2d,
    atleast_3d,
    block,
    column_stack,
    delete,
    diag,
    dstack,
    hstack,
    insert,
    pad,
    rot90,
    split,
    vstack,
)
from minigrad.ops.statistics import (
    average,
    corrcoef,
    cov,
    median,
    nanmax,
    nanmean,
    nanmin,
    nanprod,
    nanstd,
    nansum,
    nanvar,
    percentile,
    ptp,
    quantile,
)
from minigrad.ops.trigonometry import (
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cos,
    cosh,
    hypot,
    hypot_slope,
    sin,
    sinh,
    tan,
    tanh,
    tanh_slope,
)
from minigrad.pickling import restore_graph as _restore_graph  # noqa: F401  (how pickle works)
from minigrad.rewrite.driver import Rule, rule
from minigrad.rewrite.rules import RULES, simplify
from minigrad.serialise import dumps, load, loads, save
from minigrad.syntax.array_protocol import VERSIONS as _VERSIONS
from minigrad.text import to_latex, to_str
from minigrad.types import TensorType

if TYPE_CHECKING:
    from minigrad.chains import Chain, flow
    from minigrad.derivations.api import Derivation, derive
    from minigrad.drawing import draw

_end_of_ours()

__version__ = "0.1.0"
__array_api_version__ = _VERSIONS[-1]
__array_namespace_info__ = _Info

__all__ = [
    "LOOPS",
    "RULES",
    "Adjoints",
    "Attr",
    "Backend",
    "Chain",
    "DTypeError",
    "Derivation",
    "Expr",
    "Function",
    "GradientError",
    "GraphError",
    "GraphFileError",
    "MinigradError",
    "MissingPackageError",
    "NonFiniteError",
    "Op",
    "OpenGraphError",
    "OutOfRangeError",
    "Rule",
    "ShapeError",
    "TensorType",
    "abs",
    "acos",
    "acosh",
    "add",
    "adjoints",
    "all",
    "allclose",
    "any",
    "append",
    "arange",
    "argmax",
    "argmin",
    "argsort",
    "array_equal",
    "array_split",
    "asarray",
    "asin",
    "asinh",
    "astype",
    "atan",
    "atan2",
    "atanh",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "average",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "block",
    "bool",
    "broadcast_arrays",
    "broadcast_to",
    "can_cast",
    "cbrt",
    "ceil",
    "check_grad",
    "cholesky",
    "clip",
    "column_stack",
    "concat",
    "conj",
    "const",
    "convolve",
    "copysign",
    "corrcoef",
    "correlate",
    "cos",
    "cosh",
    "count_nonzero",
    "cov",
    "cross",
    "cumulative_prod",
    "cumulative_sum",
    "custom_vjp",
    "deg2rad",
    "delete",
    "derive",
    "det",
    "diag",
    "diagonal",
    "diff",
    "divide",
    "dot",
    "draw",
    "dstack",
    "dumps",
    "e",
    "eigh",
    "eigvalsh",
    "einsum",
    "empty",
    "empty_like",
    "equal",
    "erf",
    "eval",
    "exp",
    "exp2",
    "expand_dims",
    "expm1",
    "eye",
    "finfo",
    "flip",
    "float32",
    "float64",
    "floor",
    "floor_divide",
    "flow",
    "fmax",
    "fmin",
    "fmod",
    "fold_in",
    "free_variables",
    "from_dlpack",
    "full",
    "full_like",
    "function",
    "grad",
    "greater",
    "greater_equal",
    "heaviside",
    "hessian",
    "hstack",
    "hvp",
    "hypot",
    "hypot_slope",
    "iinfo",
    "imag",
    "implements",
    "inf",
    "inner",
    "insert",
    "int8",
    "int16",
    "int32",
    "int64",
    "interp",
    "inv",
    "isclose",
    "isdtype",
    "isfinite",
    "isinf",
    "isnan",
    "jacobian",
    "jvp",
    "key",
    "kron",
    "less",
    "less_equal",
    "linalg",
    "linspace",
    "load",
    "loads",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_softmax",
    "logaddexp",
    "logaddexp2",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsumexp",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "max",
    "maximum",
    "mean",
    "median",
    "meshgrid",
    "min",
    "minimum",
    "moveaxis",
    "multiply",
    "nan",
    "nan_to_num",
    "nanmax",
    "nanmean",
    "nanmin",
    "nanprod",
    "nanstd",
    "nansum",
    "nanvar",
    "negative",
    "newaxis",
    "nextafter",
    "not_equal",
    "ones",
    "ones_like",
    "outer",
    "pad",
    "param",
    "percentile",
    "permute_dims",
    "pi",
    "pinv",
    "polyval",
    "positive",
    "pow",
    "prod",
    "ptp",
    "qr",
    "quantile",
    "rad2deg",
    "ravel",
    "real",
    "reciprocal",
    "register",
    "register_backend",
    "relu",
    "remainder",
    "repeat",
    "reroute",
    "reshape",
    "result_type",
    "roll",
    "rot90",
    "round",
    "rule",
    "save",
    "scale_gradient",
    "scan",
    "searchsorted",
    "select",
    "sigmoid",
    "sigmoid_slope",
    "sign",
    "signbit",
    "simplify",
    "sin",
    "sinc",
    "sinh",
    "slogdet",
    "softmax",
    "softplus",
    "solve",
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "stop_gradient",
    "substitute",
    "subtract",
    "sum",
    "svd",
    "svdvals",
    "swapaxes",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "tanh_slope",
    "tensordot",
    "tile",
    "to_jax",
    "to_latex",
    "to_onnx",
    "to_str",
    "toposort",
    "trace",
    "trapezoid",
    "tril",
    "triu",
    "trunc",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "uniform",
    "unroll",
    "unstack",
    "unwrap",
    "var",
    "variance",
    "vdot",
    "vecdot",
    "vector_norm",
    "verify",
    "vjp",
    "vmap",
    "vstack",
    "where",
    "zeros",
    "zeros_like",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "charts"})


def __getattr__(name: str) -> Any:
    # Pictures are loaded when they are asked for: importing minigrad loads NumPy and no more.
    if name == "draw":
        from minigrad.drawing import draw

        return draw
    if name == "charts":  # and matplotlib with them
        from minigrad.drawing import charts

        return charts
    if name in ("flow", "Chain"):
        from minigrad import chains

        return getattr(chains, name)
    if name in ("derive", "Derivation"):
        from minigrad.derivations import api

        return getattr(api, name)
    raise AttributeError(
        f"module 'minigrad' has no attribute {name!r}{what_instead(name, __all__)}"
    )
