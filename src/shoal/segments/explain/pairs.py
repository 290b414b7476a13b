"""What tells two segments apart: effects of one against the other, and a tree between the two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from shoal.domain.text import Text
from shoal.segments.explain.effects import Matrix, Places, effects
from shoal.segments.explain.fidelity import fidelity_of, out_of_fold
from shoal.segments.explain.growing import grow
from shoal.segments.explain.readable import Readable
from shoal.segments.explain.words import bounds_document, rule_in_words
from shoal.segments.profile import effect_document
from shoal.segments.wording import Described

#: Leaves of the tree between two segments.
LEAVES: Final = 4
_EFFECTS: Final = 12
_TELLING: Final = 0.2


def pair(
    columns: Iterable[tuple[str, Matrix]],
    asked: Readable,
    second: Places,
    segment_ids: tuple[str, str],
    catalog: Mapping[str, Described],
) -> dict[str, Any]:
    """What differs between two segments, as JSON.

    Args:
        columns: name and (n,) values of the members of both, of all that can be told of.
        asked: the same customers in the columns that a tree may ask of.
        second: (n,) 0 for members of the first segment, 1 for those of the second.
        segment_ids: of the two.

    Returns:
        `effects` of the first against the second, strongest first; `tree` with its rules and its
        fidelity out of fold.
    """
    found = [
        one for one in effects(columns, second, [0])[0]
        if abs(one.effect) >= _TELLING
    ]  # fmt: skip
    tree = grow(asked.values, asked.names, second, leaves=LEAVES)
    answers = out_of_fold(asked.values, asked.names, second, leaves=LEAVES)
    undefined = {
        name for name in tree.features if np.isnan(asked.columns[name]).any()
    }  # fmt: skip
    rules = {}
    for place, name in enumerate(segment_ids):
        paths = [path for _, answer, path in tree.paths() if answer == place]
        rules[name] = {
            "words": rule_in_words(paths, catalog, undefined).as_document(),
            "paths": [[bounds_document(one) for one in path] for path in paths],
        }
    against = Text(f"in {segment_ids[1]}", segment_ids[1])
    return {
        "effects": [effect_document(one, catalog, against) for one in found[:_EFFECTS]],
        "tree": {
            "features": list(tree.features),
            "rules": rules,
            "fidelity": fidelity_of(answers, second, 2).as_document(segment_ids),
        },
    }
