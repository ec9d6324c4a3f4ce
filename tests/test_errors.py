"""Wrong uses, and what each must say: the operation, the operands, what to write instead."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

import minigrad as mg

x = mg.var("x")
v = mg.var("v", (3,))
k = mg.var("k", (), "int64")
W = mg.param("W", np.zeros((4, 3)))
u = mg.var("u", (4,))


def add_in_place():
    array = np.zeros(3)
    array += v


def set_item():
    v[0] = 1.0


def finite(inputs, y, *values):
    return mg.function(inputs, y, check_finite=True)(*values)


def custom(backward):
    return mg.custom_vjp(lambda a, b: a * b, backward)(x, 2 * x)


def carry_outside():
    kept = []
    mg.scan(lambda c, x: (kept.append(c) or c * x, None), 1.0, v)
    return mg.function([v], kept[0] * 2)


# what is done: (a call, the error, pieces that its message must hold, in order)
WRONG = {
    # what is no expression, or no number
    "simplify a number": (lambda: mg.simplify(3), mg.DTypeError,
        ["an expression, or a list of them, is needed, not 3"]),
    "simplify by a number": (lambda: mg.simplify(v, rules=3), mg.GraphError,
        ["rules are a list, such as minigrad.RULES['exact'], not 3"]),
    "a step that returns its carry alone": (
        lambda: mg.scan(lambda c, _: c, v, length=2), mg.GraphError,
        ["must return (carry, y), not <Expr placeholder 'carry': float64(3,)>"]),
    "unroll a number": (lambda: mg.unroll(3), mg.DTypeError,
        ["an expression, or a list of them, is needed, not 3"]),
    "substitute by a list": (lambda: mg.substitute(v, [x]), mg.DTypeError,
        ["replacements are a dict {node: new}, not [<Expr"]),
    "a constant of nothing": (lambda: mg.const(None), mg.DTypeError,
        ["a number or an array of numbers is needed, not None"]),
    "eval with a list": (lambda: v.eval([1, 2, 3]), mg.GraphError,
        ["bindings are a dict {variable or its name: value}, not [1, 2, 3]"]),
    "a constant of a masked array": (
        lambda: mg.const(np.ma.masked_equal([1.0, 2.0], 2.0)), mg.DTypeError,
        ["a masked array has elements that are missing", ".filled(0)", "minigrad.where"]),
    "a param of a masked array": (
        lambda: mg.param("m", np.ma.masked_equal([1.0, 2.0], 2.0)), mg.DTypeError,
        ["a masked array has elements that are missing"]),
    "eval with a masked array": (
        lambda: v.eval({v: np.ma.masked_equal([1.0, 2.0, 3.0], 2.0)}), mg.DTypeError,
        ["a masked array has elements that are missing"]),
    "assign a masked array": (
        lambda: setattr(W, "value", np.ma.masked_equal(np.zeros((4, 3)), 0.0)), mg.DTypeError,
        ["a masked array has elements that are missing"]),
    "a power of floats, as ^": (lambda: v ^ 2, mg.DTypeError,
        ["takes booleans or integers, not float64; a power is written a ** b", "operand 2 is 2"]),
    "a power of two expressions, as ^": (lambda: v ^ v, mg.DTypeError,
        ["not float64; a power is written a ** b"]),
    "a constant is told by its value": (lambda: mg.const(2.5) & 7, mg.DTypeError,
        ["operand 1 is the constant 2.5: float64\n"]),
    "a number's format of a variable": (lambda: f"{x:.2f}", mg.OpenGraphError,
        ["depends on x: format its text, str(expr), or its value: ", "expr.eval({...})"]),
    "a number's format of an array": (lambda: f"{W:.2f}", mg.ShapeError,
        ["needs one element; W: float64(4, 3)"]),
    "a whole number beyond 64 bits": (lambda: mg.const(10**30), mg.DTypeError,
        ["not 1000000000000000000000000000000, which 64 bits do not hold"]),
    "concat of two": (lambda: mg.concat(v, u), mg.DTypeError, ["write concat([x, y])"]),
    "stack of two": (lambda: mg.stack(v, v), mg.DTypeError, ["write stack([x, y])"]),
    "eval with text": (lambda: v.eval({v: "abc"}), mg.DTypeError,
        ["'abc', which is no array of numbers, was given for v: float64(3,)"]),
    "a function of a list with None": (lambda: mg.function([v], v)([1, 2, None]), mg.DTypeError,
        ["[1, 2, None], which is no array of numbers, was given for v"]),
    "a chained comparison": (lambda: 0 < x < 1, mg.OpenGraphError,
        ["`a < x < b` need a value now", "(a < x) & (x < b) for both"]),
    "math's function": (lambda: math.sin(x), mg.OpenGraphError,
        ["functions of expressions are minigrad's, not math's"]),
    # loops
    "a list of numbers to run over": (
        lambda: mg.scan(lambda c, a: (c + a, c), 0.0, [1.0, 2.0]), mg.ShapeError,
        ["a scalar, as xs[0] is, has none", "minigrad.const([...])", "minigrad.stack([...])"]),
    "a number to run over": (
        lambda: mg.scan(lambda c, a: (c + a, c), 0.0, 2.0), mg.ShapeError,
        ["a scalar, as xs is, has none"]),
    "a carry of nothing": (
        lambda: mg.scan(lambda c, a: (c, a), None, v), mg.DTypeError,
        ["carry is None", "one that holds nothing is ()"]),
    "a carry that comes back as nothing": (
        lambda: mg.scan(lambda c, a: ((c[0], None), a), (x, x), v), mg.DTypeError,
        ["carry[1] is None", "what the step gives back"]),
    # derivatives
    "the gradient of a list": (lambda: mg.grad([x], x), mg.DTypeError,
        ["one expression is differentiated, not [<Expr", "[minigrad.grad(y, x) for y in ys]"]),
    "the jacobian of a list": (lambda: mg.jacobian([x], x), mg.DTypeError,
        ["one expression is differentiated, not [<Expr", "minigrad.stack(ys)"]),
    "the gradient of a function": (lambda: mg.grad(lambda a: a, x), mg.DTypeError,
        ["write y = f(x), minigrad.grad(y, x), not <function"]),
    "the hessian by a list": (lambda: mg.hessian(x * x, [x]), mg.DTypeError,
        ["a hessian is by one expression, not [<Expr",
         "[minigrad.jacobian(g, ws) for g in minigrad.grad(y, ws)]"]),
    "length below 0": (lambda: mg.scan(lambda c, _: (c, None), v, length=-1), mg.ShapeError,
        ["length= is a whole number of steps, at least 0, not -1"]),
    "half a step": (lambda: mg.scan(lambda c, _: (c, None), v, length=2.5), mg.ShapeError,
        ["length= is a whole number of steps, at least 0, not 2.5"]),
    "checkpoint of no steps": (
        lambda: mg.scan(lambda c, _: (c, None), v, length=4, checkpoint=0), mg.ShapeError,
        ["checkpoint= is a whole number of steps, at least 1, not 0"]),
    "a carry outside its loop": (carry_outside, mg.GraphError,
        ["are given no value:", "carry: float64, made at", "(a carry or x of a loop"]),
    "a thread that is a yes": (lambda: mg.function([v], v, threads=True), mg.GraphError,
        ["threads must be at least 1, a whole number, not True"]),
    "the complex number of a variable": (lambda: complex(x), mg.OpenGraphError,
        ["complex(expr) of an expression that depends on x"]),
    "another dtype without a copy": (
        lambda: mg.asarray(v, dtype="float32", copy=False), mg.ShapeError,
        ["float64 is made float32 by converting; leave out copy=False"]),
    "std into a buffer": (lambda: v.std(out=np.zeros(())), mg.DTypeError,
        ["np.std cannot write an expression into an array (out=)"]),
    "no such choice": (lambda: np.choose([0, 2, 1], [v, v]), mg.OutOfRangeError,
        ["in choose: there is no choice 2 of 2; write mode='clip' or mode='wrap'"]),
    "a choice below 0": (lambda: np.choose([0, -1, 1], [v, v]), mg.OutOfRangeError,
        ["in choose: there is no choice -1 of 2"]),
    "another mode of choosing": (lambda: np.choose(k, [v, v], mode="last"), mg.DTypeError,
        ["in choose: mode is 'raise', 'wrap' or 'clip', not 'last'"]),
    "choosing by floats": (lambda: np.choose(v, [v, v]), mg.DTypeError,
        ["in choose: what chooses is integers, not float64"]),
    "half a thread": (lambda: mg.function([v], v, threads=2.5), mg.GraphError,
        ["threads must be at least 1, a whole number, not 2.5"]),
    "without a list": (lambda: mg.function([v], v, without="drop"), mg.GraphError,
        ["without=['drop']"]),
    # shapes
    "shapes of +": (lambda: v + u, mg.ShapeError,
        ["in add", "(3,) and (4,) do not broadcast", "operand 1 is v: float64(3,), made at",
         ".py:", "operand 2 is u: float64(4,)", "at ", "test_errors.py"]),
    "shapes of @": (lambda: W @ u, mg.ShapeError,
        ["in matmul: inner dimensions differ: 3 and 4", "operand 1 is W: float64(4, 3)"]),
    "@ of a scalar": (lambda: v @ x, mg.ShapeError, ["in matmul", "use * to scale"]),
    "reshape": (lambda: mg.reshape(v, (2, 2)), mg.ShapeError,
        ["in reshape: cannot reshape (3,) (3 elements) to (2, 2)"]),
    "reshape -1": (lambda: v.reshape(2, -1), mg.ShapeError,
        ["in reshape: 3 elements do not divide into (2, -1)"]),
    "reshape -1 -1": (lambda: v.reshape(-1, -1), mg.ShapeError,
        ["in reshape: only one dimension may be -1"]),
    "broadcast_to": (lambda: mg.broadcast_to(v, (3, 2)), mg.ShapeError,
        ["in broadcast_to", "(3,) and (3, 2) do not broadcast"]),
    "broadcast_arrays": (lambda: mg.broadcast_arrays(v, u), mg.ShapeError, ["in broadcast_arrays"]),
    "concat ranks": (lambda: mg.concat([v, W]), mg.ShapeError,
        ["in concat: the operands differ in their number of axes"]),
    "concat shapes": (lambda: mg.concat([W, mg.zeros((4, 2))]), mg.ShapeError,
        ["in concat: shapes (4, 3) and (4, 2) differ off axis 0"]),
    "concat nothing": (lambda: mg.concat([]), mg.ShapeError, ["concat needs at least one operand"]),
    "stack": (lambda: mg.stack([v, x]), mg.ShapeError, ["in stack: the operands differ in shape"]),
    "where": (lambda: mg.where(v > 0, v, mg.zeros(2)), mg.ShapeError,
        ["in where", "(3,) and (2,)"]),
    "where condition": (lambda: mg.where(u > 0, v, v), mg.ShapeError,
        ["in where", "operand 1 is the result of greater: bool(4,)"]),
    "einsum sizes": (lambda: mg.einsum("ij,jk->ik", W, W), mg.ShapeError,
        ["in einsum", "label 'j' is both 3 and 4 long"]),
    "einsum count": (lambda: mg.einsum("ij,jk->ik", W), mg.ShapeError,
        ["'ij,jk->ik' names 2 operands; there are 1"]),
    "einsum letters": (lambda: mg.einsum("i1->i", W), mg.ShapeError,
        ["'i1->i' has more than letters"]),
    "einsum rank": (lambda: mg.einsum("ijk->i", W), mg.ShapeError,
        ["'ijk' does not name the 2 axes"]),
    "einsum output": (lambda: mg.einsum("ij->k", W), mg.ShapeError, ["output 'k'"]),
    "inv": (lambda: mg.inv(W), mg.ShapeError,
        ["in inv: a square matrix is needed, not shape (4, 3)"]),
    "cholesky": (lambda: mg.cholesky(W), mg.ShapeError, ["in cholesky: a square matrix"]),
    "matrix_power": (lambda: mg.matrix_power(W, 2), mg.ShapeError, ["in matrix_power"]),
    "det": (lambda: mg.det(v), mg.ShapeError, ["in det: a square matrix is needed"]),
    "solve": (lambda: mg.solve(mg.zeros((3, 3)), u), mg.ShapeError,
        ["in solve: a of shape (3, 3) does not go with b of shape (4,)"]),
    "tensordot": (lambda: mg.tensordot(W, W, 1), mg.ShapeError,
        ["in tensordot: the paired axes differ in length"]),
    "tensordot count": (lambda: mg.tensordot(W, v, 2), mg.ShapeError,
        ["cannot sum over 2 axes: the operands have 2, 1"]),
    "cross": (lambda: mg.cross(u, u), mg.ShapeError, ["in cross", "three elements"]),
    "tril": (lambda: mg.tril(v), mg.ShapeError, ["in tril", "at least two axes"]),
    "max of nothing": (lambda: mg.max(mg.zeros(0)), mg.ShapeError,
        ["in max: no extreme of no elements"]),
    "argmax of nothing": (lambda: mg.argmax(mg.zeros((2, 0)), 1), mg.ShapeError,
        ["in argmax: no extreme of no elements"]),
    "repeat": (lambda: mg.repeat(v, [1, 2]), mg.ShapeError, ["in repeat", "one for each of 3"]),
    "repeat -1": (lambda: mg.repeat(v, -1), mg.ShapeError, ["cannot be repeated -1 times"]),
    "len": (lambda: len(x), mg.ShapeError, ["a scalar expression has no len()"]),
    "iteration": (lambda: list(x), mg.ShapeError, ["cannot be iterated over"]),
    # axes
    "axis": (lambda: mg.sum(v, axis=-2), mg.OutOfRangeError,
        ["in sum: axis -2 is out of range: the operand has axes -1 to 0", "operand 1 is v"]),
    "axis of a scalar": (lambda: mg.max(x, axis=0), mg.OutOfRangeError,
        ["in max: axis 0 is out of range: the operand has no axes (it is a scalar)"]),
    "axis twice": (lambda: mg.mean(W, axis=(0, -2)), mg.ShapeError, ["names an axis twice"]),
    "axis 1.0": (lambda: mg.prod(W, axis=1.0), mg.ShapeError,
        ["in prod: an axis is an integer, not 1.0"]),
    "softmax axis": (lambda: mg.softmax(v, 1), mg.OutOfRangeError, ["in softmax: axis 1"]),
    "log_softmax axis": (lambda: mg.log_softmax(v, 1), mg.OutOfRangeError,
        ["axis 1 is out of range"]),
    "flip axis": (lambda: mg.flip(v, 1), mg.OutOfRangeError, ["in flip: axis 1"]),
    "roll axis": (lambda: mg.roll(v, 1, 1), mg.OutOfRangeError, ["in roll: axis 1"]),
    "diff axis": (lambda: mg.diff(v, axis=1), mg.OutOfRangeError, ["in diff: axis 1"]),
    "expand_dims axis": (lambda: mg.expand_dims(v, 5), mg.OutOfRangeError,
        ["in expand_dims: axis 5"]),
    "squeeze axis": (lambda: mg.squeeze(W, 0), mg.ShapeError, ["in squeeze", "length 1"]),
    "swapaxes": (lambda: mg.swapaxes(v, 0, 1), mg.OutOfRangeError, ["in swapaxes: axis 1"]),
    "moveaxis": (lambda: mg.moveaxis(W, 0, (0, 1)), mg.ShapeError,
        ["in moveaxis: give as many destinations as sources"]),
    "permute_dims": (lambda: mg.permute_dims(W, (0, 0)), mg.ShapeError,
        ["in permute_dims: axes (0, 0) are not a permutation of the 2 axes"]),
    "diagonal": (lambda: mg.diagonal(v), mg.OutOfRangeError, ["in diagonal: axis -2"]),
    "sort axis": (lambda: mg.sort(v, 2), mg.OutOfRangeError, ["in sort: axis 2"]),
    "cumulative_sum axis": (lambda: mg.cumulative_sum(v, 2), mg.OutOfRangeError,
        ["in cumulative_sum: axis 2"]),
    # indices
    "index": (lambda: v[3], mg.OutOfRangeError,
        ["in indexing: index 3 is out of range for axis 0 of length 3", "operand 1 is v"]),
    "negative index": (lambda: v[-4], mg.OutOfRangeError, ["index -4 is out of range"]),
    "index in a list": (lambda: v[[0, 5]], mg.OutOfRangeError, ["index 5 is out of range"]),
    "many indices": (lambda: W[0, 0, 0], mg.OutOfRangeError,
        ["too many indices: 3 for an operand with 2 axes"]),
    "index 1.5": (lambda: v[1.5], mg.DTypeError, ["an index is integers, slices", "not 1.5"]),
    "constant index 1.5": (lambda: v[mg.const(1.5)], mg.DTypeError, ["an index is integers"]),
    "symbolic index of floats": (lambda: v[x], mg.DTypeError,
        ["an index array holds integers, not float64"]),
    "index of text": (lambda: v["a"], mg.DTypeError, ["an index is", "not 'a'"]),
    "symbolic mask": (lambda: v[v > 0], mg.DTypeError, ["use minigrad.where(mask, x, 0)"]),
    "index True": (lambda: v[True, 0], mg.DTypeError, ["a single boolean"]),
    "mask shape": (lambda: v[np.array([True, False])], mg.OutOfRangeError,
        ["a boolean index of shape (2,) does not fit axes of lengths (3,)"]),
    "symbolic slice": (lambda: v[k:], mg.DTypeError,
        ["the bounds of a slice are integers known now", "minigrad.take(x, indices)"]),
    "two ellipses": (lambda: W[..., ...], mg.ShapeError, ["at most one ellipsis"]),
    "index arrays": (lambda: W[[0, 1], [0, 1, 2]], mg.ShapeError, ["in getitem", "broadcast"]),
    "take floats": (lambda: mg.take(v, [0.5]), mg.DTypeError,
        ["in take: indices are integers, not float64"]),
    "take without axis": (lambda: mg.take(W, [0]), mg.ShapeError,
        ["in take: say which axis to take along"]),
    "take_along_axis": (lambda: mg.take_along_axis(W, [0]), mg.ShapeError,
        ["in take_along_axis: the indices need as many axes as the operand"]),
    "at": (lambda: v.at[0:2].set(mg.zeros(3)), mg.ShapeError, ["in at", "operand 1 is v"]),
    "at dtype": (lambda: mg.zeros(3, "int64").at[0].set(0.5), mg.DTypeError,
        ["in at: cannot put float64 into int64"]),
    "assignment": (set_item, mg.DTypeError,
        ["expressions are immutable", "x = x.at[index].set(value)"]),
    # dtypes
    "bits of floats": (lambda: v & v, mg.DTypeError,
        ["in bitwise_and: bitwise_and takes booleans or integers"]),
    "minus a mask": (lambda: -(v > 0), mg.DTypeError, ["in negative: negative takes numbers"]),
    "masks subtracted": (lambda: (v > 0) - (v < 1), mg.DTypeError, ["subtract takes numbers"]),
    "text": (lambda: x + "a", mg.DTypeError, ["in add", "operand 2 is 'a'"]),
    "None": (lambda: x + None, mg.DTypeError, ["in add", "operand 2 is None"]),
    "complex": (lambda: x * 1j, mg.DTypeError, ["in multiply", "complex128 is not supported"]),
    "dtype of var": (lambda: mg.var("z", (), "complex64"), mg.DTypeError,
        ["dtype complex64 is not supported; use one of bool"]),
    "nonsense dtype": (lambda: mg.astype(x, "quark"), mg.DTypeError, ["not a dtype: 'quark'"]),
    "ragged constant": (lambda: mg.const([[1, 2], [3]]), mg.DTypeError, ["cannot make a constant"]),
    "constant of an expression": (lambda: mg.const(x), mg.DTypeError, ["not an expression"]),
    # leaves
    "empty name": (lambda: mg.var(""), mg.GraphError, ["a name is a non-empty string"]),
    "name 3": (lambda: mg.param(3, 1.0), mg.GraphError, ["a name is a non-empty string"]),
    "label": (lambda: (x * 2).named(""), mg.GraphError, ["a name is a non-empty string"]),
    "shape of var": (lambda: mg.var("z", (2, -1)), mg.ShapeError,
        ["a shape has no negative dimension: (2, -1)"]),
    "shape 2.5": (lambda: mg.var("z", (2.5,)), mg.ShapeError, ["a shape is a tuple of integers"]),
    "assign to an attribute": (lambda: setattr(x, "type", 3), AttributeError,
        ["expressions are immutable: cannot set 'type'"]),
    "value of a variable": (lambda: x.value, AttributeError,
        ["only params and constants hold a value; use eval()"]),
    "set the value of a variable": (lambda: setattr(x, "value", 3.0), AttributeError,
        ["only a param has a value to set"]),
    "shape of a param": (lambda: setattr(W, "value", np.zeros(3)), mg.ShapeError,
        ["param W has shape (4, 3); cannot assign a value of shape (3,)"]),
    "dtype of a param": (lambda: setattr(W, "value", np.zeros((4, 3), complex)), mg.DTypeError,
        ["param W holds float64; cannot assign complex128"]),
    "Expr()": (mg.Expr, TypeError, ["make expressions with minigrad.var, param, const"]),
    # a value asked of an open graph
    "if": (lambda: 1 if x > 0 else 2, mg.OpenGraphError,
        ["bool(expr) of an expression that depends on x", "`if`",
         "minigrad.where(condition, a, b)"]),
    "and": (lambda: (x > 0) and (x < 1), mg.OpenGraphError, ["minigrad.where"]),
    "float()": (lambda: float(x), mg.OpenGraphError,
        ["float(expr) of an expression that depends on x", "expr.eval({...})"]),
    "int()": (lambda: int(k), mg.OpenGraphError, ["int(expr)", "depends on k"]),
    "item": (lambda: x.item(), mg.OpenGraphError, ["expr.item()"]),
    "asarray": (lambda: np.asarray(v * 2), mg.OpenGraphError, ["np.asarray(expr)", "depends on v"]),
    "float of several": (lambda: float(mg.const([1.0, 2.0])), mg.ShapeError,
        ["float(expr) needs one element"]),
    # NumPy
    "+=": (add_in_place, mg.DTypeError, ["np.add cannot write an expression", "array + expr"]),
    "out=": (lambda: np.add(v, v, out=np.zeros(3)), mg.DTypeError, ["np.add cannot write"]),
    "where=": (lambda: np.sin(v, where=[True, True, False]), mg.DTypeError, ["np.sin", "where"]),
    "other functions": (lambda: np.linalg.eig(W), mg.DTypeError,
        ["np.linalg.eig does not build minigrad expressions; see minigrad.__all__"]),
    "np.fft.fft": (lambda: np.fft.fft(v), mg.DTypeError, ["np.fft.fft does not build"]),
    "np.save": (lambda: np.save("never_written.npy", v), mg.DTypeError,
        ["np.save does not build minigrad expressions"]),
    "np.put": (lambda: np.put(np.zeros(3), [0], x), mg.DTypeError,
        ["np.put does not build minigrad expressions", "x.at[index].set(values)"]),
    "np.nonzero": (lambda: np.nonzero(v), mg.DTypeError,
        ["np.nonzero does not build", "depends on values", "minigrad.where"]),
    "np.compress by an expression": (lambda: np.compress(v > 0, v), mg.DTypeError,
        ["np.compress by a symbolic condition", "minigrad.where"]),
    "np.pad mode": (lambda: np.pad(v, 1, "mean"), mg.DTypeError,
        ["in pad: mode 'mean' is none of constant, edge", "minigrad.concat"]),
    "np.split": (lambda: np.split(v, 2), mg.ShapeError,
        ["in split: 3 elements do not divide into 2 equal parts"]),
    "np.partition": (lambda: np.partition(v, 3), mg.ShapeError, ["kth = 3 is out of range"]),
    "np.quantile": (lambda: np.quantile(v, 1.5), mg.ShapeError, ["quantiles lie in [0, 1]"]),
    "np.quantile method": (lambda: np.quantile(v, 0.5, method="lower"), mg.DTypeError,
        ["method 'lower' is not there"]),
    "np.average weights": (lambda: np.average(W, weights=[1.0, 2.0]), mg.ShapeError,
        ["in average: weights have the operand's shape"]),
    "np.gradient": (lambda: np.gradient(W, 1.0, 1.0, 1.0), mg.ShapeError,
        ["in gradient: give no spacing, one, or one for each of 2 axes"]),
    "np.interp": (lambda: np.interp(x, v, [1.0, 2.0]), mg.ShapeError,
        ["in interp: xp and fp are vectors of one length"]),
    "np.convolve": (lambda: np.convolve(W, v), mg.ShapeError,
        ["in convolve: two vectors that are not empty"]),
    "np.take mode": (lambda: np.take(v, [0], mode="stop"), mg.DTypeError,
        ["mode is 'raise', 'wrap' or 'clip', not 'stop'"]),
    "np.linalg.norm of a stack": (lambda: np.linalg.norm(mg.ones((2, 2, 2)), 1), mg.ShapeError,
        ["in norm: a norm of order 1 is of vectors or matrices"]),
    "order": (lambda: W.reshape(6, order="K"), mg.DTypeError, ["order is 'C' or 'F', not 'K'"]),
    "np.argmax out": (lambda: np.argmax(v, 0, np.zeros(())), mg.DTypeError,
        ["np.argmax cannot write an expression into an array (out=)"]),
    "np.max of a selection": (lambda: np.max(v, where=[True, True, False]), mg.ShapeError,
        ["needs an initial= value"]),
    "np.where condition": (lambda: np.where(v > 0), mg.DTypeError,
        ["np.where of minigrad expressions: missing a required argument"]),
    "slice step 0": (lambda: v[::0], mg.ShapeError, ["in indexing", "step of a slice is not 0"]),
    "sort all": (lambda: mg.sort(W, axis=None), mg.ShapeError,
        ["in sort: an axis is an integer, not None"]),
    "other methods": (lambda: np.maximum.accumulate(v), mg.DTypeError, ["np.maximum.accumulate"]),
    # values of variables
    "missing binding": (lambda: (x * v).eval({x: 1.0}), mg.GraphError,
        ["no value for v: float64(3,); pass eval({x: value, ...})"]),
    "unknown name": (lambda: (x * v).eval({"z": 1.0}), mg.GraphError,
        ["no variable 'z' here; there are: x: float64, v: float64(3,)"]),
    "an inner node bound": (lambda: (x * x * 2).eval({x * x: 1.0}), mg.GraphError,
        ["bindings give values to variables, not to the result of multiply", "substitute"]),
    "shape of a value": (lambda: (x * v).eval({x: 1.0, v: [1, 2]}), mg.ShapeError,
        ["a value of shape (2,) was given for v: float64(3,)"]),
    "dtype of a value": (lambda: (k * 2).eval({k: 1.5}), mg.DTypeError,
        ["a value of dtype float64 was given for k: int64"]),
    "too large a value": (lambda: mg.var("b", (), "uint8").eval({"b": 256}), mg.DTypeError,
        ["a value that does not fit in uint8 was given for b"]),
    "a negative value": (lambda: mg.var("b", (), "uint8").eval({"b": -1}), mg.DTypeError,
        ["a value that does not fit in uint8"]),
    "text as a value": (lambda: (x * 2).eval({x: "a"}), mg.DTypeError, ["was given for x"]),
    "a ragged value": (lambda: (v * 2).eval({v: [[1, 2], [3]]}), mg.ShapeError, ["is no array"]),
    "an expression as a value": (lambda: (x * 2).eval({x: k}), mg.OpenGraphError,
        ["k: int64", "was given for x: float64"]),
    # functions
    "unbound": (lambda: mg.function([x], x * v), mg.GraphError,
        ["the outputs depend on variables that are given no value", "v: float64(3,), made at"]),
    "inputs no list": (lambda: mg.function(x, x), mg.GraphError, ["write function([x], ...)"]),
    "input no variable": (lambda: mg.function([2 * x], x), mg.GraphError,
        ["an input must be a variable made with minigrad.var, not the result of multiply"]),
    "input of text": (lambda: mg.function(["x"], x), mg.GraphError, ["not 'x'"]),
    "inputs alike": (lambda: mg.function([x, mg.var("x", (2,))], x), mg.GraphError,
        ["two inputs have the same name: x, x"]),
    "backend": (lambda: mg.function([x], x, backend="gpu"), mg.GraphError,
        ["no backend 'gpu'; there are 'auto', 'numpy'"]),
    "call: missing": (lambda: mg.function([x, v], x * v)(1.0), mg.GraphError,
        ["this function takes (x, v); missing: v"]),
    "call: too many": (lambda: mg.function([x], x)(1.0, 2.0), mg.GraphError, ["too many: 2.0"]),
    "call: unknown": (lambda: mg.function([x], x)(y=1.0), mg.GraphError,
        ["missing: x; unknown: y"]),
    "call: twice": (lambda: mg.function([x], x)(1.0, x=1.0), mg.GraphError, ["given twice: x"]),
    "update of a variable": (lambda: mg.function([x], [], {x: x}), mg.GraphError,
        ["only params can be updated"]),
    "update of another shape": (lambda: mg.function([], [], {W: W.T}), mg.ShapeError,
        ["cannot update W: float64(4, 3)", "with a value of type float64(3, 4)"]),
    "update of another dtype": (lambda: mg.function([], [], {W: W.astype("float32")}),
        mg.DTypeError, ["cannot update W", "float32(4, 3)"]),
    "updates no dict": (lambda: mg.function([], [], [(W, W)]), mg.GraphError,
        ["updates is a dict {param: the expression it becomes}"]),
    # NaN
    "NaN in data": (lambda: finite([x], 2 * x, np.nan), mg.NonFiniteError,
        ["NaN in var x: float64, made at", "it came with the data"]),
    "infinity in a param": (lambda: finite([], mg.param("Q", [np.inf]) * 2), mg.NonFiniteError,
        ["infinity in param Q"]),
    "NaN born": (lambda: finite([v], mg.sum(mg.log(v) * 2), [1, -1, 2]), mg.NonFiniteError,
        ["NaN born at op log, the result of log: float64(3,), made at", ".py:",
         "operand v: float64(3,)", "values -1 to 2"]),
    "infinity born in an unused branch": (
        lambda: finite([v], mg.where(v > 0, 1 / v, 0.0), [1, 0, 2]), mg.NonFiniteError,
        ["infinity born at op divide", "values 0 to 2"]),
    "infinity chosen by a mask": (
        lambda: finite([v], mg.where(v > 0, v, np.inf), [1, 0, 2]), mg.NonFiniteError,
        ["infinity born at op where", "operand the result of greater", "values 0 to 1"]),
    # derivatives
    "grad of a vector": (lambda: mg.grad(v * 2, v), mg.ShapeError,
        ["grad needs a scalar", "has shape (3,)", "minigrad.sum(y)", "minigrad.jacobian"]),
    "hessian of a vector": (lambda: mg.hessian(v * 2, v), mg.ShapeError, ["grad needs a scalar"]),
    "grad of integers": (lambda: mg.grad(k * 2, k), mg.DTypeError,
        ["cannot differentiate the result of multiply: int64", "derivatives need a float dtype"]),
    "grad by an integer": (lambda: mg.grad(k * x, k), mg.DTypeError,
        ["cannot differentiate with respect to k: int64", "minigrad.astype"]),
    "grad by a name": (lambda: mg.grad(x, "x"), mg.DTypeError,
        ["cannot differentiate with respect to 'x': it is no expression"]),
    "grad by names": (lambda: mg.grad(x, ["x"]), mg.DTypeError, ["it is no minigrad expression"]),
    "grad of a number": (lambda: mg.grad(3.0, x), mg.DTypeError, ["cannot differentiate 3.0"]),
    "adjoints of integers": (lambda: mg.adjoints(k), mg.DTypeError, ["cannot differentiate k"]),
    "tangents": (lambda: mg.jvp(x * v, [x, v], [1.0]), mg.GraphError,
        ["1 tangents for 2 expressions"]),
    "tangent shape": (lambda: mg.jvp(x * v, v, [1.0]), mg.ShapeError,
        ["the tangent of v: float64(3,)", "must have that type, not float64(1,)"]),
    "cotangent shape": (lambda: mg.vjp(v * 2, v, 1.0), mg.ShapeError, ["the cotangent of"]),
    "cotangent dtype": (lambda: mg.vjp(v, v, mg.zeros(3, "float32")), mg.DTypeError,
        ["the cotangent of", "float32(3,)"]),
    "edge position": (lambda: mg.adjoints(x * x).edge(x * x, 2), mg.GraphError,
        ["has no argument 2"]),
    "edge of a number": (lambda: mg.adjoints(x * x).edge(3, 0), mg.DTypeError,
        ["cannot take the edge of 3: it is no minigrad expression"]),
    "hessian by a dict": (lambda: mg.hessian(x * x, {"x": x}), mg.DTypeError,
        ["a hessian is by one expression, not {'x': ", "[minigrad.jacobian(g, ws)"]),
    "LaTeX of a number": (lambda: mg.to_latex(3), mg.DTypeError, ["3 has no notation"]),
    "save swapped": (lambda: mg.save(x, "never_written.json"), mg.DTypeError,
        ["save(path, outputs) takes the path first"]),
    "dumps of a number": (lambda: mg.dumps([3]), mg.DTypeError, ["cannot save 3"]),
    "an expression for a variable": (lambda: (x * x).eval({x: u[0] + 1}), mg.OpenGraphError,
        ["the result of add: float64", "was given for x: float64", "expr.eval({...})",
         "substitute(y, {x: expr})"]),
    "a call with an expression": (lambda: mg.function([x], x * x)(W[0, 0]), mg.OpenGraphError,
        ["the result of getitem: float64", "was given for x: float64", "param.value"]),
    "a call with a list of expressions": (lambda: mg.function([v], v * 2)([x, x, 1.0]),
        mg.OpenGraphError, ["expressions in it", "was given for v: float64(3,)"]),
    "a param of an expression": (lambda: mg.param("q", u * 2), mg.OpenGraphError,
        ["a param starts with numbers", "expr.eval({...})"]),
    "a param made an expression": (lambda: setattr(W, "value", mg.stack([u, u, u], 1)),
        mg.OpenGraphError, ["param W holds numbers", "updates={W: expr}"]),
    "substitute by a name": (lambda: mg.substitute(x * 2, {"x": 1.0}), mg.DTypeError,
        ["cannot replace 'x': it is no minigrad expression"]),
    "edge elsewhere": (lambda: mg.adjoints(x * x).edge(x * 3, 0), mg.GraphError,
        ["is not part of the differentiated graph"]),
    "custom_vjp terms": (lambda: mg.grad(custom(lambda ct, y, a, b: ct), x), mg.GraphError,
        ["returned 1 terms for 2 inputs", "None for none"]),
    "custom_vjp shape": (
        lambda: mg.grad(custom(lambda ct, y, a, b: (mg.zeros(2), None)), x), mg.ShapeError,
        ["the term of input 1 has type float64(2,); the input has float64"]),
    "check_grad dtype": (lambda: mg.check_grad(x, mg.var("f", (), "float32")), mg.DTypeError,
        ["check_grad needs float64 variables or params"]),
    "check_grad without values": (lambda: mg.check_grad(x * v[0], x, {v: [1, 2, 3]}),
        mg.GraphError, ["no value for x"]),
    "substitute": (lambda: mg.substitute(x * 2, {x: v}), mg.ShapeError,
        ["cannot put v: float64(3,)", "in the place of x: float64", "the types differ"]),
    "verify": (lambda: mg.verify(x * mg.var("x", (2,))), mg.GraphError,
        ["two variables are named alike", "x: float64(2,)"]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use(name):
    call, kind, pieces = WRONG[name]
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    message = str(caught.value)
    assert re.search(".*".join(map(re.escape, pieces)), message, re.DOTALL), message


@pytest.mark.parametrize("name", [n for n, (_, kind, _) in WRONG.items() if kind is mg.ShapeError])
def test_errors_are_caught_as_minigrads_and_as_pythons(name):
    call = WRONG[name][0]
    with pytest.raises(mg.MinigradError):
        call()
    with pytest.raises(ValueError):  # noqa: PT011 - any message: that it is one is the point
        call()


def test_the_family_of_errors():
    assert issubclass(mg.DTypeError, TypeError)
    assert issubclass(mg.OpenGraphError, TypeError)
    assert issubclass(mg.OutOfRangeError, mg.ShapeError)
    assert issubclass(mg.OutOfRangeError, IndexError)
    assert issubclass(mg.GraphError, ValueError)
    assert issubclass(mg.GraphFileError, ValueError)
    assert issubclass(mg.GradientError, AssertionError)
    assert issubclass(mg.NonFiniteError, FloatingPointError)


@pytest.mark.parametrize(
    ("y", "at", "kind", "note"),
    [
        (v[k], {v: [1, 2, 3], k: 7}, IndexError, "while computing op getitem"),
        (mg.inv(mg.outer(v, v)), {v: [0, 0, 0]}, np.linalg.LinAlgError, "while computing op inv"),
        (k**k, {k: -1}, ValueError, "while computing op pow"),
    ],
    ids=["index", "singular", "integer power"],
)
def test_errors_of_values_name_the_op(y, at, kind, note):
    with pytest.raises(kind) as caught:
        y.eval(at)
    (found,) = caught.value.__notes__
    assert found.startswith(note)
    assert ".py:" in found


def test_an_error_leaves_a_function_usable():
    f = mg.function([v, k], mg.exp(v)[k])
    with pytest.raises(IndexError):
        f([1.0, 2.0, 3.0], 5)
    assert f([0.0, 2.0, 3.0], 0) == 1.0


def test_nothing_is_updated_when_a_call_fails():
    p = mg.param("p", [1.0, 2.0, 3.0])
    f = mg.function([v], mg.log(v), updates={p: p + 1}, check_finite=True)
    with pytest.raises(mg.NonFiniteError):
        f([-1.0, 1.0, 1.0])
    assert p.value.tolist() == [1.0, 2.0, 3.0]
