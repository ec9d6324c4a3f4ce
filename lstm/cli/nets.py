"""Nets that were trained elsewhere, and arrays to measure them on, for commands that read files."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lstm.cli.options import LONGEST, path
from lstm.errors import ConfigError, ModelFileError
from lstm.interop import from_onnx, from_torch
from lstm.losses import cross_entropy, mse
from lstm.model import Model
from lstm.store.foreign import is_onnx
from lstm.store.model_file import FORMAT
from lstm.store.reading import opened
from minigrad import Expr

Loss: TypeAlias = Callable[..., Expr]
NET_OPTIONS = ("prefix", "readout", "embedding", "nonlinearity")


class Engine(NamedTuple):
    """What another engine's file holds."""

    title: str
    """With what reads it."""
    net: str
    options: tuple[str, ...]
    """Those of NET_OPTIONS that tell of it."""


TORCH = Engine("a net of torch, as lstm.from_torch reads it", "a net of torch", NET_OPTIONS)
ONNX = Engine("an ONNX graph, as lstm.from_onnx reads it", "an ONNX graph", ("readout",))


def net_options(parser: argparse.ArgumentParser) -> None:
    """What is said of a net of another engine."""
    group = parser.add_argument_group("a net of torch (a .safetensors) or an ONNX graph")
    for name, text in {
        "prefix": "the name of its nn.LSTM, nn.GRU or nn.RNN (default: the only one)",
        "readout": "the name of the Linear that reads it (default: the only one, if any); of an "
        "ONNX graph the value that the model gives (default: its output)",
        "embedding": "the name of the Embedding before it (default: the only one, if any)",
    }.items():
        group.add_argument(f"--{name}", metavar="NAME", help=text)
    text = "of an nn.RNN: tanh or relu, which no state dict says (default: tanh)"
    group.add_argument("--nonlinearity", choices=["tanh", "relu"], help=text)


def engine_of(file: Path) -> Engine | None:
    """Whose net a file holds: TORCH of sound safetensors that lstm did not write, ONNX of a graph;
    None of all else."""
    try:
        with opened(file, ModelFileError, "cannot read") as tensors:
            ours = any(key.startswith(FORMAT) for key in tensors.metadata() or {})
            return None if ours else TORCH
    except ModelFileError:
        pass
    try:
        return ONNX if file.is_file() and is_onnx(file) else None
    except (OSError, ValueError):
        return None


def net_of(args: argparse.Namespace, engine: Engine, read: str | None = None) -> Model:
    """The model that such a file is, whose readout reads "last" or "every"; None: as the file has
    it, or else every step. Raises ModelFileError and ConfigError as what reads it."""
    if engine is ONNX:
        return from_onnx(args.model, output=args.readout, read=read)
    said = {name: getattr(args, name) for name in NET_OPTIONS if getattr(args, name) is not None}
    return from_torch(args.model, read=read or "every", **said)


def check_said(args: argparse.Namespace, engine: Engine | None) -> None:
    """Raise ConfigError for an option that tells of a file of another kind, and would be lost."""
    if engine is not None and args.cell is not None:
        raise ConfigError(f"--cell is of a model of lstm, and {args.model} is {engine.net}")
    for name in NET_OPTIONS:
        told = engine is not None and name in engine.options
        if getattr(args, name) is not None and not told:
            what = "none" if engine is None else engine.net
            raise ConfigError(f"--{name} is of a net of torch, and {args.model} is {what}")


# --- arrays of one's own -----------------------------------------------------------------------


def data_options(parser: argparse.ArgumentParser) -> None:
    """Sequences and targets to measure on."""
    group = parser.add_argument_group("sequences of your own, in the place of the task's")
    text = "what is read: an array (T, B, I), or (T, B) of tokens, time first"
    group.add_argument("--data", type=path, metavar="X.npy", help=text)
    text = (
        "what should be said, of the end (B, O) or of every step (T, B, O), or classes (B,) or "
        "(T, B), integers; the loss is the squared error, of classes the cross entropy (default: "
        "none; the loss is the mean square of what is said at the end)"
    )
    group.add_argument("--targets", type=path, metavar="Y.npy", help=text)
    text = (
        "how many steps of each sequence count, (B,) integers; the rest is padding (default: all)"
    )
    group.add_argument("--lengths", type=path, metavar="L.npy", help=text)


class Data(NamedTuple):
    """A batch of the user's own."""

    xs: NDArray[Any]
    ys: NDArray[Any] | None
    lengths: NDArray[Any] | None

    @property
    def ends(self) -> dict[str, Any]:
        """How the sequences end, as `lengths=`."""
        return {} if self.lengths is None else {"lengths": self.lengths}

    @property
    def read(self) -> str:
        """Which steps the targets are of: "last" or "every"."""
        classes = self.ys is None or self.ys.dtype.kind in "iu"
        of_the_end = self.ys is None or self.ys.ndim == (1 if classes else 2)
        return "last" if of_the_end else "every"

    def targets(self, model: Model) -> NDArray[Any]:
        """What the loss compares with; zeros where nothing is said."""
        if self.ys is not None:
            return self.ys
        steps = self.xs.shape[:1] if model.readout.read == "every" else ()
        return np.zeros((*steps, self.xs.shape[1], model.output_size), model.dtype)

    @property
    def loss(self) -> Loss:
        """What the targets are compared by."""
        return mse if self.ys is None or self.ys.dtype.kind == "f" else cross_entropy


def data_of(args: argparse.Namespace) -> Data | None:
    """The arrays that are named; None of none. Raises ConfigError for what is no sound array of
    numbers, for more steps than can be drawn, and for options that go against each other."""
    if args.data is None:
        for name, value in {"targets Y.npy": args.targets, "lengths L.npy": args.lengths}.items():
            if value is not None:
                raise ConfigError(f"--{name} is for the sequences of --data X.npy")
        return None
    for name in ("length", "task", "seed"):
        if getattr(args, name) is not None:
            raise ConfigError(f"--{name} is of a task's sequences, and --data gives others")
    xs = array_of(args.data)
    if xs.ndim < 2 or not 1 <= len(xs) <= LONGEST or not xs.shape[1]:
        raise ConfigError(
            f"{args.data} is {xs.shape}, and sequences are (T, B, I), or (T, B) of tokens, of at "
            f"most {LONGEST} steps"
        )
    ys = None if args.targets is None else array_of(args.targets)
    if ys is not None and xs.shape[1] not in ys.shape[:2]:  # the loss says what else does not fit
        raise ConfigError(
            f"{args.targets} is {ys.shape}, and targets of {xs.shape[1]} sequences are (B, …), or "
            "(T, B, …) of every step"
        )
    lengths = None if args.lengths is None else np.array(checked_lengths(args.lengths, xs.shape))
    try:
        return Data(np.array(xs), None if ys is None else np.array(ys), lengths)
    except MemoryError:
        raise ConfigError(f"{args.data} and its targets do not fit into memory") from None


def checked_lengths(file: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    """The lengths in a file, of sequences (T, B, …). Raises ConfigError."""
    lengths = array_of(file)
    if lengths.shape != shape[1:2] or lengths.dtype.kind not in "iu":
        raise ConfigError(
            f"{file} is {lengths.dtype} {lengths.shape}, and lengths of {shape[1]} sequences are "
            f"integers ({shape[1]},)"
        )
    if lengths.min() < 1 or lengths.max() > shape[0]:
        raise ConfigError(f"{file} has lengths that are not from 1 to {shape[0]} steps")
    return lengths


def array_of(file: Path) -> NDArray[Any]:
    """The array of numbers in a .npy file, of which nothing is read yet. Raises ConfigError, in a
    line; nothing is unpickled."""
    try:
        if file.exists() and not file.is_file():
            raise ValueError("it is no regular file")
        # A header is text that Python parses: it may end in any error, and in warnings.
        with np.errstate(all="raise"), warnings.catch_warnings(action="ignore"):
            array = np.lib.format.open_memmap(file, mode="r")  # no more than the file has
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise ConfigError(f"cannot read the array {file}: {said:.200}") from None
    except Exception:
        raise ConfigError(f"cannot read the array {file}: its header is damaged") from None
    if array.dtype.kind not in "fiu":
        said = f"it holds {array.dtype}, and neither floats nor integers"
        raise ConfigError(f"cannot read the array {file}: {said:.200}")
    return array
