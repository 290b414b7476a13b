"""The lineage of segments as a picture that stands alone: a Sankey diagram over versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from shoal.domain.segment import TIER_NEW
from shoal.report.draw import Drawing, Flow, Node, flows
from shoal.report.draw.canvas import STYLE, quoted
from shoal.report.numbers import grouped

#: Versions that a picture shows, the latest ones.
MOST_VERSIONS: Final = 8
#: Pixels: a column, the least width, the margin.
_COLUMN: Final = 280
_LEAST: Final = 520
_MARGIN: Final = 24


def lineage_flows(document: Mapping[str, Any], lang: str = "en") -> Drawing | None:
    """The versions of a document `shoal.lineages/1` as columns and how customers flow between
    their segments; None where there is one version only.

    Bands within a segment are grey; those that leave it are blue. The tier of the too little known
    is there only where somebody crosses its border.
    """
    versions = document["versions"][-MOST_VERSIONS:]
    if len(versions) < 2:
        return None
    crossed = any((one["from"] == TIER_NEW) != (one["to"] == TIER_NEW) for one in document["flows"])
    order = [_order(version, tier=crossed) for version in versions]
    places = [{name: place for place, name in enumerate(names)} for names in order]
    links = []
    for column, (before, after) in enumerate(pairwise(versions)):
        for one in document["flows"]:
            if one["segmentation_id"] != after["segmentation_id"]:
                continue
            source, target = places[column].get(one["from"]), places[column + 1].get(one["to"])
            if source is None or target is None:
                continue
            said = (
                f"{one['from']} ({before['segmentation_id']}) → {one['to']} "
                f"({after['segmentation_id']}): {grouped(one['customers'])}"
            )
            stays = one["from"] == one["to"]
            links.append(Flow(column, source, target, one["customers"], said, quiet=stays))
    return flows(
        [_nodes(version, names, lang) for version, names in zip(versions, order, strict=True)],
        links,
        str(document["headline"]),
        heads=[str(one["as_of"][:10]) for one in versions],
        height=max(300, 44 * max(len(names) for names in order)),
    )


def lineage_picture(document: Mapping[str, Any], lang: str = "en") -> str:
    """An SVG file of the lineage; of a single version its segments alone are told in words."""
    drawn = lineage_flows(document, lang)
    versions = document["versions"][-MOST_VERSIONS:]
    width = max(_LEAST, _COLUMN * len(versions))
    if drawn is None:
        return _alone(document, width)
    height = drawn.height + 2 * _MARGIN
    return _file(
        width, height, str(document["headline"]),
        f'<svg x="{_MARGIN}" y="{_MARGIN}" width="{width - 2 * _MARGIN}" height="{drawn.height}">'
        f"{drawn.svg}</svg>",
    )  # fmt: skip


def _alone(document: Mapping[str, Any], width: int) -> str:
    lines = [str(document["headline"])]
    lines += [
        f"{one['segment_id']}  {one['name']['en']}  {grouped(one['customers'])}"
        for one in document["versions"][-1]["segments"]
    ]
    shown = "".join(
        f'<text x="{_MARGIN}" y="{_MARGIN + 14 + 20 * place}" class="ink">{quoted(line)}</text>'
        for place, line in enumerate(lines)
    )
    return _file(width, 2 * _MARGIN + 20 * len(lines), lines[0], f'<g class="draw">{shown}</g>')


def _file(width: int, height: int, alt: str, inner: str) -> str:
    # There is no container to ask for its width: the longer labels have room here.
    style = STYLE + ".draw .wide { display: inline; }\n.draw .narrow { display: none; }\n"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" role="img" '
        f'aria-label="{quoted(alt)}">'
        f'<style>{quoted(style)}</style><rect width="100%" height="100%" fill="#fff"/>'
        f"{inner}</svg>\n"
    )


def _order(version: Mapping[str, Any], *, tier: bool) -> list[str]:
    """Segments from the top: by id, the tier last, so that a segment keeps its height."""
    names = [str(one["segment_id"]) for one in version["segments"]]
    names = [name for name in names if tier or name != TIER_NEW]
    return sorted(names, key=lambda name: (name == TIER_NEW, name))


def _nodes(version: Mapping[str, Any], names: Sequence[str], lang: str) -> list[Node]:
    told = {one["segment_id"]: one for one in version["segments"]}
    return [
        Node(f"{name} {told[name]['name'].get(lang, name)}", grouped(told[name]["customers"]))
        for name in names
    ]
