"""Labels from outside as a section of the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.harness.results import table, told
from bench.segments.outside import ALL_FEATURES
from bench.segments.peers import METHODS, OWN

TITLES = {"age": "age, 7 bands", "gender": "gender", "occupation": "occupation, 21"}


def markdown(document: Mapping[str, Any]) -> str:
    """The section of the page; empty where the part was not run."""
    found = document.get("labels")
    if not found:
        return ""
    names = list(found["labels"])
    methods = list(dict.fromkeys(row["method"] for row in found["rows"]))
    by = {(row["method"], row["label"]): row for row in found["rows"]}
    parts = [_words(found)]
    for key, title in (
        ("ami", "Adjusted mutual information"),
        ("balanced", "Balanced accuracy of telling the label from the segment"),
        ("auc", "Area under the ROC curve, each label against the rest"),
    ):
        body = [
            [_named(name), *(_figure(by[name, label], key, len(found["seeds"])) for label in names)]
            for name in methods
            if key != "ami" or name != ALL_FEATURES
        ]
        if key == "balanced":
            body.append(
                ["*one answer for all*",
                 *(f"{found['labels'][label]['chance']:.2f}" for label in names)]
            )  # fmt: skip
        head = ["method", *(TITLES[label] for label in names)]
        parts.append(f"### {title}\n\n{table(head, body)}")
    if found["failed"]:
        parts.append(
            table(["what failed", "reason"], [[one["peer"], one["reason"]]
                                              for one in found["failed"]])
        )  # fmt: skip
    return "\n\n".join(parts)


def _words(found: Mapping[str, Any]) -> str:
    return f"""## Who customers are: labels from outside

`{found["command"]}`, {found["customers"]} users of MovieLens-100K (GroupLens) with
{found["events"]:,} ratings, k = {found["k"]}, seeds {", ".join(map(str, found["seeds"]))} (of
starts; the log is the same), at a load of {found["machine"]["load"]:.0f}. Age, gender and
occupation are what users told of themselves. Nothing of it is in the log: segments are made of
when and what was rated, and how, with the rarest genre of each film as its category. The whole log
is known, and there is no period to foretell, so that methods which learn from an outcome have no
row; nor has river, which is for streams, nor Shoal on the embedding, whose model is trained before
a cut.

Balanced accuracy and the area under the curve are out of fold: a segment answers for customers who
were not counted. \\* beyond what {found["shuffles"]} shuffles of the labels stay below 39 times of
40, with every seed. The last row is what LightGBM tells from all features in the same way (one
seed)."""


def _figure(row: Mapping[str, Any], key: str, seeds: int) -> str:
    text = told(row[key], 3)
    return f"{text} \\*" if row.get("beyond", {}).get(key, 0) == seeds else text


def _named(name: str) -> str:
    if name == ALL_FEATURES:
        return "*LightGBM on all features*"
    return f"**{METHODS[name].title}**" if name in OWN else METHODS[name].title
