"""Nets of other engines: in, as a model of ours, and out again. A file an engine.

No engine is imported: what comes in and goes out is arrays by the names that the engine has. Files
of ONNX are read and written by the package onnx, which is imported then.
"""

from __future__ import annotations

from lstm.interop.keras import from_keras
from lstm.interop.onnx import from_onnx, to_onnx
from lstm.interop.torch import from_torch, to_torch

__all__ = ["from_keras", "from_onnx", "from_torch", "to_onnx", "to_torch"]
