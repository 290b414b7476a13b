"""The program's version, stated once; artefacts carry it."""

from typing import Final

__version__: Final = "0.1.0"
