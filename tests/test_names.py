"""Names of packages, modules and functions do not get in each other's way."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest


@pytest.mark.parametrize("package", ["minigrad", "lstm"])
def test_no_module_has_the_name_of_a_public_function(package):
    """`import minigrad.x` would put the module in the place of the function."""
    root = importlib.import_module(package)
    modules = {m.name.rpartition(".")[2] for m in pkgutil.iter_modules(root.__path__)}
    functions = {n for n in root.__all__ if not inspect.ismodule(getattr(root, n))}
    assert modules & functions == set()
