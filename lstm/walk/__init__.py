"""The walk through the textbook: told once, in lstm_networks.md, with code that shows each claim.

`source` reads it and makes the notebook of it, `running` runs its code, `written` writes the page.
"""

from lstm.walk.source import notebook
from lstm.walk.written import FILES, write_walk

__all__ = ["FILES", "notebook", "write_walk"]
