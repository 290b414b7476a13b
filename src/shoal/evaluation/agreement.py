"""How far two labellings of the same customers agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import comb


@dataclass(frozen=True)
class Agreement:
    """`ari`: adjusted Rand index, 0 by chance and 1 for equal partitions. `purity`: share of the
    customers that carry the most frequent true label of their found segment."""

    ari: float
    purity: float


def agreement(truth: Sequence[Hashable], found: Sequence[Hashable]) -> Agreement:
    """Agreement of two labellings, each of shape (n,).

    The adjusted Rand index follows Hubert and Arabie, "Comparing partitions" (1985), eq. 5.

    Raises:
        ValueError: the labellings differ in length or are empty.

    >>> agreement(["a", "a", "b", "b"], [1, 1, 2, 2])
    Agreement(ari=1.0, purity=1.0)
    """
    if len(truth) != len(found) or not truth:
        raise ValueError(f"labellings of {len(truth)} and {len(found)} customers")
    cells = Counter(zip(truth, found, strict=True))
    rows, columns = Counter(truth), Counter(found)
    together = sum(comb(n, 2) for n in cells.values())
    in_rows = sum(comb(n, 2) for n in rows.values())
    in_columns = sum(comb(n, 2) for n in columns.values())
    expected = in_rows * in_columns / max(comb(len(truth), 2), 1)
    most = (in_rows + in_columns) / 2
    # Both partitions trivial in the same way: they agree and there is nothing to adjust.
    ari = 1.0 if most == expected else (together - expected) / (most - expected)
    best: Counter[Hashable] = Counter()
    for (_, segment), count in cells.items():
        best[segment] = max(best[segment], count)
    return Agreement(ari=float(ari), purity=sum(best.values()) / len(truth))


def crosstab(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, int, str, float]]:
    """For each found segment: its id, size, most frequent true label, and that label's share.

    `pairs` are (true, found) labels; rows come in order of the found segment's id.

    >>> crosstab([("a", "s1"), ("a", "s1"), ("b", "s1"), ("b", "s2")])
    [('s1', 3, 'a', 0.6666666666666666), ('s2', 1, 'b', 1.0)]
    """
    cells: dict[str, Counter[str]] = {}
    for true, segment in pairs:
        cells.setdefault(segment, Counter())[true] += 1
    rows = []
    for segment in sorted(cells):
        size = sum(cells[segment].values())
        top, count = min(cells[segment].items(), key=lambda entry: (-entry[1], entry[0]))
        rows.append((segment, size, top, count / size))
    return rows
