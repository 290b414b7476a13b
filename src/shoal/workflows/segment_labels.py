"""Labels of known customers: a file of customer and segment, or a feature that tells as much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from shoal.domain.errors import InputError, UsageError
from shoal.domain.text import Text
from shoal.events.reading import open_source
from shoal.events.texts import as_text
from shoal.segments.base import CUSTOMER
from shoal.segments.methods.base import Matrix
from shoal.segments.methods.seeded import Anchors

SEGMENT: Final = "segment"
#: More names than this are no segments: a column of notes, or of ids.
MOST_NAMES: Final = 50
_SHOWN: Final = 10


@dataclass(frozen=True)
class Labels:
    """What a file or a feature says of customers, and what became of its rows.

    Args:
        source: the file or feature, for messages.
        of: customer -> name; customers with several names are left out.
        rows: read, not counting the header.
        blank: rows without a customer or a name.
        repeated: rows that say again what an earlier one said.
        conflicting: customers with several names.
    """

    source: str
    of: dict[str, str]
    rows: int
    blank: int = 0
    repeated: int = 0
    conflicting: tuple[str, ...] = ()

    def anchors(
        self, customers: Sequence[str], known: npt.NDArray[np.bool_], Z: Matrix
    ) -> tuple[Anchors, dict[str, Any], list[Text]]:
        """The labelled customers among those of a table, what became of the rest, and warnings.

        Args:
            customers: (n,) of the table.
            known: (n,) who has events enough.
            Z: prepared rows of the known ones, in their order.

        Raises:
            InputError: `too_little_data`, none of them is known.
        """
        place = {name: row for row, name in enumerate(customers)}
        prepared = np.cumsum(known) - 1
        there = sorted(name for name in self.of if name in place)
        used = [name for name in there if known[place[name]]]
        unknown = len(self.of) - len(there)
        account = {
            "source": self.source, "rows": self.rows, "used": len(used), "blank": self.blank,
            "repeated": self.repeated, "conflicting_customers": len(self.conflicting),
            "unknown_customers": unknown, "too_little_known": len(there) - len(used),
        }  # fmt: skip
        if not used:
            raise InputError(
                "too_little_data",
                f"of {len(self.of)} labelled customers the shop knows {len(there)}, none of them "
                "well enough to be placed",
                where=self.source,
                hint="Ids must be those of `shoal features`; check the column customer_id.",
            )
        counts = Counter(self.of[name] for name in used)
        names = tuple(sorted(counts, key=lambda name: (-counts[name], name)))
        tags = np.array([names.index(self.of[name]) for name in used], np.int64)
        rows = Z[prepared[[place[name] for name in used]]]
        lost = sorted(set(self.of.values()) - set(names))
        return Anchors(names, rows, tags), account, self._warnings(account, lost)

    def _warnings(self, account: dict[str, Any], lost: list[str]) -> list[Text]:
        found = []
        reasons = {
            "unknown_customers": ("of customers the shop does not know", "客户在店铺中不存在"),
            "conflicting_customers": ("of customers with several names", "客户有多个名称"),
            "too_little_known": ("of customers with too few events", "客户事件过少"),
            "blank": ("without a customer or a name", "缺少客户或名称"),
            "repeated": ("that repeat another one", "重复"),
        }
        told = [(account[key], *words) for key, words in reasons.items() if account[key]]
        if told:
            en = ", ".join(f"{count} {words}" for count, words, _ in told)
            zh = "、".join(f"{count} 条{words}" for count, _, words in told)
            found.append(
                Text(
                    f"Of the labels, {account['used']} customers are used; left out are {en}.",
                    f"标签中使用了 {account['used']} 位客户；未使用：{zh}。",
                )
            )
        if lost:
            names = ", ".join(lost[:_SHOWN])
            found.append(
                Text(
                    f"No known customer is left for the names: {names}.",
                    f"以下名称没有可用的已知客户：{names}。",
                )
            )
        return found


def read_labels(path: Path) -> Labels:
    """The labels of a file with the columns `customer_id` and `segment`.

    Raises:
        InputError: `input_missing`, `input_unreadable`, `input_empty`, `duplicate_headers`,
            `unknown_columns`; `input_unusable`, no row tells a name, or there are too many names.
    """
    source = open_source(path)
    missing = [name for name in (CUSTOMER, SEGMENT) if name not in source.columns]
    if missing:
        raise InputError(
            "unknown_columns",
            f"the labels lack the column {' and '.join(missing)}; found: "
            f"{', '.join(map(repr, list(source.columns)[:40]))}",
            where=str(path),
            hint=f"Give a table with the columns {CUSTOMER} and {SEGMENT}.",
        )
    pairs: list[tuple[str | None, str | None]] = []
    lost = 0
    for chunk in source.chunks():
        lost += chunk.rejected.num_rows
        told = (
            as_text(chunk.table[name], integral=True).to_pylist() for name in (CUSTOMER, SEGMENT)
        )
        pairs += zip(*told, strict=True)
    return labels_of(str(path), pairs, lost)


def labels_of(source: str, pairs: Sequence[tuple[str | None, str | None]], lost: int = 0) -> Labels:
    """Labels of rows of customer and name.

    Args:
        lost: rows that could not be read; they count as blank.

    Raises:
        InputError: `input_unusable`.

    >>> found = labels_of("x", [("a", "vip"), ("a", "vip"), ("b", "vip"), ("b", "new"), ("", "x")])
    >>> found.of, found.repeated, found.conflicting, found.blank
    ({'a': 'vip'}, 1, ('b',), 1)
    """
    said: dict[str, dict[str, None]] = {}
    blank, repeated = lost, 0
    for customer, told in pairs:
        name = (told or "").strip()
        if not customer or not name:
            blank += 1
        elif name in said.setdefault(customer, {}):
            repeated += 1
        else:
            said[customer][name] = None
    of = {customer: next(iter(names)) for customer, names in said.items() if len(names) == 1}
    conflicting = tuple(sorted(customer for customer, names in said.items() if len(names) > 1))
    rows = len(pairs) + lost
    if not of:
        raise InputError(
            "input_unusable",
            f"not one of {rows} rows of labels tells one name of one customer",
            where=source,
            hint=f"Give the columns {CUSTOMER} and {SEGMENT}, one segment a customer.",
        )
    names = sorted(set(of.values()))
    if len(names) > MOST_NAMES:
        raise InputError(
            "input_unusable",
            f"the labels have {len(names)} different names, such as {', '.join(names[:3])}",
            where=source,
            hint=f"At most {MOST_NAMES} segments can be named.",
        )
    return Labels(source, of, rows, blank, repeated, conflicting)


def labels_of_feature(features: pa.Table, name: str) -> Labels:
    """What a text feature (a trait) says of customers.

    Raises:
        UsageError: `usage`, there is no such text feature.
        InputError: `input_unusable`.
    """
    texts = [
        field.name for field in features.schema
        if field.name != CUSTOMER and (pt.is_string(field.type) or pt.is_large_string(field.type))
    ]  # fmt: skip
    if name not in texts:
        raise UsageError(
            "usage",
            f"there are no labels {name!r}: no such file, and no feature of that name tells a text",
            where=name,
            hint=f"Give a file with {CUSTOMER} and {SEGMENT}, or one of: {', '.join(texts)}.",
        )
    pairs = zip(features[CUSTOMER].to_pylist(), features[name].to_pylist(), strict=True)
    told = [(customer, value) for customer, value in pairs if value is not None]
    return labels_of(name, told)
