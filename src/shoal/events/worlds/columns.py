"""Records of columns: frozen dataclasses whose fields are arrays of one length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Columns = TypeVar("Columns", bound=DataclassInstance)


def joined(parts: Sequence[Columns]) -> Columns:
    """The records of all parts (at least one), one part after the other."""
    return type(parts[0])(
        **{
            one.name: np.concatenate([getattr(part, one.name) for part in parts])
            for one in fields(parts[0])
        }
    )
