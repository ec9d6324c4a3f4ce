"""How Python and NumPy ask an expression for its value."""

from __future__ import annotations

from enum import Enum


class Asked(Enum):
    """Who asks; the value is what errors say."""

    BOOL = "bool(expr)"
    INT = "int(expr)"
    FLOAT = "float(expr)"
    COMPLEX = "complex(expr)"
    ITEM = "expr.item()"
    FORMAT = 'f"{expr:...}"'
    LIST = "expr.tolist()"
    ARRAY = "np.asarray(expr)"
    ELEMENT = "array[i] = expr"
    DLPACK = "expr.__dlpack__()"

    def __str__(self) -> str:
        return self.value

    @property
    def is_scalar(self) -> bool:
        """Whether one number is wanted."""
        return self not in (Asked.LIST, Asked.ARRAY, Asked.ELEMENT, Asked.DLPACK)

    @property
    def is_array(self) -> bool:
        """Whether NumPy wants an array; what it then does with it is no part of a graph."""
        return self in (Asked.ARRAY, Asked.ELEMENT, Asked.DLPACK)
