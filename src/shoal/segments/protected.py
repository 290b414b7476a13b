"""Protected traits: left out of what segments are learned from, and how segments fall by them.

What a shop marks (`PROTECTED` by default) is never an input of learned segments, and neither is
what tells it by itself: covariates looked up by a place, lines in a foreign currency. Other
features may still go along with a trait, as hours do with a far time zone or tastes with gender;
`by_trait` shows whether segments do. Rules may ask for protected traits: somebody decided so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shoal.domain.traits import PROTECTED
from shoal.features.algebra import Feature
from shoal.features.catalog import Catalog
from shoal.features.covariates import covariate_features
from shoal.segments.ruled.comparison import plain_number

SCHEMA: Final = "shoal.protected/1"

_PLACES: Final = frozenset({"country", "region"})
_FOREIGN: Final = "foreign_lines"
_TRAIT: Final = "trait_"

#: Values of a trait that are shown by themselves; the rarer ones are told together.
MOST_VALUES: Final = 12
OTHER: Final = "other"
UNKNOWN: Final = "unknown"
#: Distinct numbers beyond which a trait such as age is told in bands, and the width of a band.
_FEW_NUMBERS: Final = 6
_BAND: Final = 10
#: A gap of a segment of fewer customers, or of a value of fewer, is chance rather than a gap.
FEWEST: Final = 20


def left_out(catalog: Iterable[Feature], protected: Sequence[str] = PROTECTED) -> dict[str, str]:
    """Features of a catalog that learning leaves out, each with the protected trait it tells.

    >>> from shoal.features.catalog import CATALOG
    >>> left_out(CATALOG)
    {'country': 'country', 'foreign_lines': 'country', 'region': 'region'}
    """
    marked = set(protected)
    found = {
        one.name: trait
        for one in catalog
        if (trait := one.name.removeprefix(_TRAIT)) in marked or one.name in marked
    }
    if "country" in marked:
        found |= {one.name: "country" for one in catalog if one.name == _FOREIGN}
    if isinstance(catalog, Catalog):
        for table in catalog.covariates:
            places = sorted(_PLACES & marked & set(table.keys))
            if places:
                found |= {one.name: places[0] for one in covariate_features(table)}
    return dict(sorted(found.items()))


def protected_of(settings: object) -> tuple[str, ...]:
    """What a shop's settings mark (`[segment] protected`), else the usual ones."""
    return tuple(getattr(settings, "protected", PROTECTED))


def protected_columns(names: Iterable[str], protected: Sequence[str] = PROTECTED) -> list[str]:
    """Columns of a features table that hold a protected trait, in their order.

    >>> protected_columns(["orders", "country", "trait_gender"])
    ['country', 'trait_gender']
    """
    marked = set(protected)
    return [name for name in names if name in marked or name.removeprefix(_TRAIT) in marked]


def by_trait(
    features: pa.Table,
    segments: Sequence[str],
    *,
    protected: Sequence[str] = PROTECTED,
    fewest: int = FEWEST,
) -> dict[str, Any]:
    """How segments fall by each protected trait: the document `shoal.protected/1`.

    Of each trait: its values with counts and shares, of everybody and of each segment; the largest
    gap, in share points, between a segment and everybody, among segments and values of at least
    `fewest` known customers; and Cramer's V (0: none, 1: segment and trait tell each other;
    H. Cramer, Mathematical Methods of Statistics, 1946), with the bias correction of W. Bergsma
    (Journal of the Korean Statistical Society, 2013), of customers whose trait is known.

    Args:
        features: of a snapshot; traits are its columns `country`, `region`, `trait_...`.
        segments: (n,) segment of each customer, in the order of the table.
    """
    ids = list(dict.fromkeys(segments))
    told = []
    for name in protected_columns(features.column_names, protected):
        values = features[name].to_pylist()
        if any(value not in (None, "") for value in values):
            told.append(_trait(name, _grouped(values), list(segments), sorted(ids), fewest))
    return {
        "schema": SCHEMA,
        "customers": features.num_rows,
        "fewest": fewest,
        "protected": list(protected),
        "traits": told,
    }


def _grouped(values: Sequence[Any]) -> list[str]:
    """The value of each customer as it is shown: bands of numbers, the commonest names, unknown."""
    texts = [None if value in (None, "") else str(value) for value in values]
    known = [text for text in texts if text is not None]
    numbers = {text: plain_number(text) for text in set(known)}
    if len(numbers) > _FEW_NUMBERS and all(one is not None for one in numbers.values()):
        bands = {text: _band(number) for text, number in numbers.items() if number is not None}
        return [UNKNOWN if text is None else bands[text] for text in texts]
    common = {
        text
        for text, _ in sorted(Counter(known).items(), key=lambda one: (-one[1], one[0]))[
            :MOST_VALUES
        ]
    }
    return [UNKNOWN if text is None else text if text in common else OTHER for text in texts]


def _band(number: float) -> str:
    low = math.floor(number / _BAND) * _BAND
    return f"{low} to {low + _BAND - 1}"


def _trait(
    name: str, values: list[str], segments: list[str], ids: list[str], fewest: int
) -> dict[str, Any]:
    counts = Counter(zip(segments, values, strict=True))
    whole = Counter(values)
    shown = sorted(set(values) - {OTHER, UNKNOWN}, key=_order)
    shown += [one for one in (OTHER, UNKNOWN) if one in whole]
    known = [one for one in shown if one != UNKNOWN]
    table = np.array([[counts[one, value] for value in known] for one in ids], dtype=np.int64)
    sizes, totals = table.sum(axis=1), table.sum(axis=0)
    overall = totals / max(totals.sum(), 1)
    shares = np.divide(table, sizes[:, None], out=np.zeros(table.shape), where=sizes[:, None] > 0)
    gaps = shares - overall
    fair = (sizes[:, None] >= fewest) & (totals[None, :] >= fewest)
    return {
        "trait": name,
        "known": int(totals.sum()),
        "unknown": whole[UNKNOWN],
        "values": [
            {"value": value, "customers": int(total), "share": float(share)}
            for value, total, share in zip(known, totals, overall, strict=True)
        ],
        "segments": [
            {
                "segment_id": one,
                "known": int(sizes[row]),
                "unknown": counts[one, UNKNOWN],
                "customers": [int(count) for count in table[row]],
                "shares": [float(share) for share in shares[row]],
                "gap": float(np.abs(gaps[row][fair[row]]).max()) if fair[row].any() else None,
            }
            for row, one in enumerate(ids)
        ],
        "largest_gap": _largest(gaps, shares, overall, fair, ids, known),
        "cramers_v": cramers_v(table),
    }


def _order(value: str) -> tuple[int, float, str]:
    """Bands and numbers by size, then names."""
    number = plain_number(value.split(" ")[0])
    return (0, number, value) if number is not None else (1, 0.0, value)


def _largest(
    gaps: Any, shares: Any, overall: Any, fair: Any, ids: list[str], values: list[str]
) -> dict[str, Any] | None:
    """The segment and value whose share differs most from everybody's; None where all are small."""
    if not fair.any():
        return None
    at = int(np.where(fair, np.abs(gaps), -1.0).argmax())
    row, column = divmod(at, len(values))
    return {
        "segment_id": ids[row],
        "value": values[column],
        "share": float(shares[row, column]),
        "share_of_all": float(overall[column]),
        "gap": float(gaps[row, column]),
    }


def cramers_v(table: Any) -> float | None:
    """Bias-corrected Cramer's V of a table of counts; None where a side has less than two values.

    >>> round(cramers_v(np.array([[50, 0], [0, 50]])), 3), cramers_v(np.array([[25, 25], [25, 25]]))
    (1.0, 0.0)
    """
    table = np.asarray(table, dtype=np.float64)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0] if table.size else table
    if min(table.shape) < 2:
        return None
    n = table.sum()
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    phi2 = float(((table - expected) ** 2 / expected).sum() / n)
    rows, columns = table.shape
    if n <= 1:
        return None
    phi2 = max(0.0, phi2 - (rows - 1) * (columns - 1) / (n - 1))
    least = min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1))
    return min(1.0, math.sqrt(phi2 / (least - 1))) if least > 1 else None
