"""The array API standard's namespace: minigrad's names, of which `var` is the variance here.

`x.__array_namespace__()` gives this module to code that is written to the standard.
"""

import minigrad as _minigrad
from minigrad.namespace import Info
from minigrad.ops.reduce import variance as var  # noqa: F401
from minigrad.syntax.array_protocol import VERSIONS

__array_api_version__ = VERSIONS[-1]
__array_namespace_info__ = Info

# `var` means a variable in minigrad; `draw` loads what draws.
_OTHERS = ("var", "draw")
globals().update({n: getattr(_minigrad, n) for n in _minigrad.__all__ if n not in _OTHERS})
