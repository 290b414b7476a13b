"""From values to the truth of a rule, on arrays: of one customer, or of a table of features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import InputError
from shoal.segments.ruled.batch import unread
from shoal.segments.ruled.comparison import (
    Among,
    Condition,
    IsKnown,
    Like,
    condition,
    is_textual,
    plain_number,
    scale_of,
)
from shoal.segments.ruled.language import (
    All,
    AnyOf,
    AtLeast,
    Compare,
    Feature,
    Named,
    Not,
    Rule,
    Sequence,
    Sets,
    Trait,
)
from shoal.segments.ruled.measured import column_of

Bools = npt.NDArray[np.bool_]
#: The values of a comparison's subject (null where unknown), or the truth of a sequence.
Values = Callable[[Any], pa.Array]


def truth(rule: Rule, values: Values) -> Bools:
    """(n,) whether a rule holds, from what its leaves measure."""
    match rule:
        case Sequence():
            return _bools(values(rule))
        case Compare(subject, test):
            array = values(subject)
            if isinstance(subject, Trait) and not is_textual(test):
                found = condition(test, None)
                if not isinstance(found, IsKnown):
                    numbers = [plain_number(one) for one in array.to_pylist()]
                    array = pa.array(numbers, pa.float64())
            else:
                found = condition(test, scale_of(subject))
            return compared(array, found)
        case Not(clause):
            return ~truth(clause, values)
        case Named(rule_id, target):
            if target is None:
                raise unread(rule_id)
            return truth(target, values)
        case AtLeast(count, members):
            held: Bools = np.sum([truth(one, values) for one in members], axis=0) >= count
            return held
        case All(members) | Sets("intersect", members):
            return np.logical_and.reduce([truth(one, values) for one in members])
        case AnyOf(members) | Sets("union", members):
            return np.logical_or.reduce([truth(one, values) for one in members])
        case Sets("except", members):
            first, *others = (truth(one, values) for one in members)
            return first & ~np.logical_or.reduce(others)
    raise TypeError(f"{rule!r} is no clause")


def compared(array: pa.Array, found: Condition) -> Bools:
    """(n,) whether values fulfil a condition; a null fulfils none but being unknown."""
    if isinstance(found, IsKnown):
        return _bools(pc.is_valid(array) if found.wanted else pc.is_null(array))
    if pa.types.is_null(array.type):
        return np.zeros(len(array), dtype=bool)
    if isinstance(found, Among):
        inside = _bools(pc.is_in(array, value_set=pa.array(found.values, array.type)))
        known = _bools(pc.is_valid(array))
        return known & (~inside if found.negate else inside)
    if isinstance(found, Like):
        return _like(array, found)
    held = _bools(pc.is_valid(array))
    if found.low is not None:
        low = pa.scalar(found.low, array.type)
        held &= _bools(pc.greater(array, low) if found.above else pc.greater_equal(array, low))
    if found.high is not None:
        high = pa.scalar(found.high, array.type)
        held &= _bools(pc.less(array, high) if found.below else pc.less_equal(array, high))
    return held


def _like(array: pa.Array, found: Like) -> Bools:
    if found.op == "contains":
        return _bools(pc.match_substring(array, found.text))
    if found.op == "starts_with":
        return _bools(pc.starts_with(array, found.text))
    return _bools(pc.equal(array, found.text)) | _bools(pc.starts_with(array, f"{found.text}/"))


def _bools(array: Any) -> Bools:
    found: Bools = np.asarray(pc.fill_null(array, False).to_numpy(zero_copy_only=False), dtype=bool)
    return found


def of_features(features: pa.Table) -> Values:
    """The values that a table of features has; whatever else is asked for is an error."""

    def values(subject: Any) -> pa.Array:
        name = column_of(subject) if isinstance(subject, Feature | Trait) else None
        if name is None or name not in features.column_names:
            what = "events or memberships" if name is None else name
            raise InputError(
                "input_unusable",
                f"a rule asks for {what}, which a table of features does not tell",
                hint="Rules over events and other segments are answered in a shop: "
                "shop.rules.members(...), shoal segment --rules.",
            )
        return number_or_text(features[name].combine_chunks())

    return values


def of_mapping(known: Mapping[str, Any], subject: Feature | Trait) -> pa.Array:
    """The one value of a feature or trait in a row of features."""
    return number_or_text(pa.array([known.get(column_of(subject))]))


def number_or_text(array: pa.Array) -> pa.Array:
    """Numbers as float64 with null for NaN; texts as they are."""
    if pa.types.is_null(array.type):
        return array
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        return array.cast(pa.string())
    numbers = array.cast(pa.float64())
    return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
