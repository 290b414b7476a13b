"""The segmenter of rules: named segments in order of precedence, or audiences that overlap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.text import Text
from shoal.heads.next_period import COLUMNS
from shoal.segments.base import Arrays, Weights
from shoal.segments.ruled.batch import columns, needs_events, segmentations
from shoal.segments.ruled.document import REST, of_document
from shoal.segments.ruled.language import RuleSet
from shoal.segments.ruled.truth import of_features, truth
from shoal.segments.ruled.words import words
from shoal.segments.ruled.written import as_document

#: A column `rule:ID` of a features table says for whom the rule holds, computed before.
PROVIDED: Final = "rule:"


class RuleSegmenter:
    """Places customers by rules; nothing is learned.

    Without overlap a customer is in the first segment whose rule holds. With it, a customer's
    weight is shared equally by all that hold, and the first of them is the membership. Whoever
    fulfils none is in `rest`.

    Rules over features and traits are answered from the features table itself. Others need a
    boolean column `rule:ID` there (`shoal.workflows.rule_columns` adds it).
    """

    method = "rules"

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules

    @property
    def segment_ids(self) -> tuple[str, ...]:
        """Ids of the rules in their order, then rest."""
        return (*self.rules.rules, REST)

    @property
    def names(self) -> dict[str, Text]:
        """The names of all segments by id."""
        return {one.segment_id: one.name for one in self.rules.segments} | {REST: self.rules.rest}

    @property
    def asks_more(self) -> bool:
        """Whether some rule asks for more than features."""
        rules = tuple(self.rules.rules.values())
        asked = set(columns(*rules))
        return needs_events(*rules) or bool(segmentations(*rules)) or not asked.isdisjoint(COLUMNS)

    @property
    def columns(self) -> tuple[str, ...]:
        """Features and traits that the rules ask for."""
        return columns(*self.rules.rules.values())

    def in_words(self, segment_id: str) -> Text:
        """The rule of a segment as a sentence."""
        if segment_id == REST:
            return Text("None of the rules holds.", "不满足任何规则。")
        told = words(self.rules.rules[segment_id])
        before = list(self.rules.rules)[: list(self.rules.rules).index(segment_id)]
        if self.rules.overlap or not before:
            return Text(f"{told.en}.", f"{told.zh}。")
        names = ", ".join(before)
        return Text(f"{told.en}; and not in {names}.", f"{told.zh}；且不在 {names} 中。")

    def fit(self, features: pa.Table) -> Self:
        """Nothing is learned; itself."""
        return self

    def holds(self, features: pa.Table) -> npt.NDArray[np.bool_]:
        """(n, rules) whether each rule holds, whatever comes before it.

        Raises:
            InputError: `input_unusable`, the table has not what a rule asks for.
        """
        found = np.zeros((features.num_rows, len(self.rules.segments)), dtype=bool)
        for place, one in enumerate(self.rules.segments):
            name = f"{PROVIDED}{one.segment_id}"
            if name in features.column_names:
                column = pc.fill_null(features[name].combine_chunks(), False)
                found[:, place] = column.to_numpy(zero_copy_only=False)
            elif features.num_rows:
                found[:, place] = truth(one.rule, of_features(features))
        return found

    def predict(self, features: pa.Table) -> npt.NDArray[np.int64]:
        """(n,) place in `segment_ids`: the first rule that holds, else rest."""
        holds = self.holds(features)
        first = np.where(holds.any(axis=1), holds.argmax(axis=1), holds.shape[1])
        return first.astype(np.int64)

    def transform(self, features: pa.Table) -> Weights:
        """(n, rules + 1) weights; each row sums to one."""
        if not self.rules.overlap:
            return np.eye(len(self.segment_ids))[self.predict(features)]
        holds = self.holds(features)
        both = np.column_stack([holds, ~holds.any(axis=1)]).astype(np.float64)
        weights: Weights = both / both.sum(axis=1, keepdims=True)
        return weights

    def rename(self, ids: object) -> Self:
        """Ids of rules are their own and stay; itself."""
        return self

    def to_artefact(self) -> tuple[dict[str, Any], Arrays]:
        """The rules as JSON; no arrays."""
        return {"rules": as_document(self.rules)}, {}

    @classmethod
    def from_artefact(cls, document: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        """The segmenter that `to_artefact` described."""
        return cls(of_document(document["rules"]))
