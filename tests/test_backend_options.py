"""What a backend is asked for beside its name, and what is said where JAX is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

import minigrad as mg


def test_without_jax_an_error_says_what_to_install(monkeypatch):
    for name in [m for m in sys.modules if m.split(".")[0] == "jax"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jax", None)
    x = mg.var("x")
    with pytest.raises(mg.MissingPackageError, match=r"pip install 'minigrad-lstm\[jax\]'") as told:
        mg.function([x], x + 1, backend="jax")
    assert isinstance(told.value, ImportError) and told.value.name == "jax"  # as callers expect


def test_jax_is_imported_when_it_is_asked_for():
    code = (
        "import sys, minigrad, lstm, minigrad.compile.backends.jax.backend;"
        "sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("options", [{"device": "gpu"}, {"mesh": {"batch": 2}}, {"shard": 1}])
@pytest.mark.parametrize("backend", ["auto", "numpy", "native"])
def test_devices_are_those_of_jax(backend, options):
    x = mg.var("x")
    with pytest.raises(mg.GraphError, match="are backend='jax's"):
        mg.function([x], x + 1, backend=backend, **options)


def test_the_device_of_the_others_is_the_cpu():
    x = mg.var("x")
    assert mg.function([x], x + 1, device="cpu")(1.0) == 2.0
