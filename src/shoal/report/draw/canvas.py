"""A drawing, and the elements that drawings are made of.

Colours are of the Okabe-Ito palette, which stays apart in all common forms of colour blindness
(Okabe & Ito 2008, "Color Universal Design"); what is compared with is hollow grey, so that the two
differ without colour as well.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shoal.report.draw.scale import fit, measure
from shoal.report.names import clean

#: Height of a line of legend in pixels, and the width that legends are broken for.
_LEGEND_LINE: Final = 20
_LEGEND_WIDTH: Final = 280

#: Widest a drawing grows in a notebook, in pixels.
_NOTEBOOK: Final = 760

#: The looks of a series, by its place: see `STYLE`. More series than this begin again.
LOOKS: Final = 7

#: The style sheet of all drawings; a page with any needs it once.
STYLE: Final = """
.draw { display: block; width: 100%; box-sizing: border-box; overflow: visible;
  font: 12px/1.3 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
    "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
  font-variant-numeric: tabular-nums; }
.draw text { fill: #55606e; stroke: none; }
.draw .ink { fill: #1f2933; }
.draw .name { fill: #1f2933; font-size: 13px; }
.draw .strong { fill: #1f2933; font-weight: 650; }
.draw .mid { text-anchor: middle; }
.draw .end { text-anchor: end; }
.draw .halo { paint-order: stroke; stroke: #fff; stroke-width: 4px; stroke-linejoin: round; }
.draw .rule { stroke: #e1e5ea; stroke-width: 1; }
.draw .zero { stroke: #55606e; stroke-width: 1; }
.draw .main { fill: #0072b2; }
.draw .beside { fill: #e3e7ec; stroke: #75808c; stroke-width: 1; }
.draw .below { fill: #d55e00; }
.draw .whisker { stroke: #1f2933; stroke-width: 1.25; fill: none; }
.draw .hits { fill: #000; fill-opacity: 0; }
.draw .hits rect:hover { fill-opacity: .06; }
.draw .band { fill: #d55e00; fill-opacity: .22; stroke: #b34a00; stroke-width: 1; }
.draw .usual { fill: #75808c; fill-opacity: .22; }
.draw .line { fill: none; stroke-width: 2; stroke-linejoin: round;
  vector-effect: non-scaling-stroke; }
.draw .l0 { stroke: #0072b2; }
.draw .l1 { stroke: #75808c; stroke-dasharray: 2 3; }
.draw .l2 { stroke: #b34a00; stroke-dasharray: 7 3; }
.draw .l3 { stroke: #00805d; stroke-dasharray: 9 3 2 3; }
.draw .l4 { stroke: #a8477d; stroke-dasharray: 4 2; }
.draw .l5 { stroke: #8a6100; stroke-dasharray: 12 4; }
.draw .l6 { stroke: #1f2933; stroke-dasharray: 1 2; }
.draw .m0 { fill: #0072b2; } .draw .m1 { fill: #75808c; } .draw .m2 { fill: #b34a00; }
.draw .m3 { fill: #00805d; } .draw .m4 { fill: #a8477d; } .draw .m5 { fill: #8a6100; }
.draw .m6 { fill: #1f2933; }
.draw .mq { fill: #b4bcc6; }
.draw .cloud { fill: none; stroke-width: 4.5; stroke-linecap: round; stroke-opacity: .55;
  vector-effect: non-scaling-stroke; }
.draw .c0 { stroke: #0072b2; } .draw .c1 { stroke: #75808c; } .draw .c2 { stroke: #b34a00; }
.draw .c3 { stroke: #00805d; } .draw .c4 { stroke: #a8477d; } .draw .c5 { stroke: #8a6100; }
.draw .c6 { stroke: #1f2933; } .draw .cq { stroke: #b4bcc6; }
.draw .dot { fill: #fff; stroke: #55606e; stroke-width: 2; }
.draw .dot.chosen { fill: #0072b2; stroke: #0072b2; }
.draw .cross { stroke: #55606e; stroke-width: 2; }
.draw .flow { fill: #0072b2; fill-opacity: .5; }
.draw .flow.quiet { fill: #75808c; fill-opacity: .22; }
.draw .flow:hover { fill-opacity: .75; }
.draw .node { fill: #1f2933; }
.draw .cell { stroke: #fff; stroke-width: 2; }
.draw .stem { stroke: #0072b2; stroke-width: 3; }
.draw .tick { stroke: #75808c; stroke-width: 1.5; }
.draw .first { fill: #0072b2; stroke: #fff; stroke-width: 1; }
.draw .second { fill: #fff; stroke: #b34a00; stroke-width: 2.5; }
.draw .open { fill: none; stroke-width: 1; stroke-dasharray: 3 2; }
.pinned { display: flex; }
.pinned .draw { flex: 1; min-width: 0; }
.pinned .labels { flex: none; position: sticky; left: 0; z-index: 1; background: #fff; }
.draw .wide { display: none; }
@container drawing (min-width: 660px) {
  .pinned { display: flex; }
.pinned .draw { flex: 1; min-width: 0; }
.pinned .labels { flex: none; position: sticky; left: 0; z-index: 1; background: #fff; }
.draw .wide { display: inline; }
  .draw .narrow { display: none; }
}
.draw.spark { display: inline-block; vertical-align: middle; }
"""


@dataclass(frozen=True)
class Series:
    """Values of one kind for every row: their name, and how each is printed.

    None among the values is a gap: it is not drawn.
    """

    name: str
    values: Sequence[float | None]
    shown: Sequence[str]


@dataclass(frozen=True)
class Drawing:
    """A figure: its SVG (with a little HTML around it where it scrolls), its text alternative, and
    its size in CSS pixels.

    The drawing takes the width it is given; `width` is the least that it can do with, 0 if a
    phone's is enough. Jinja templates and notebooks take it as it is.
    """

    svg: str
    height: int
    alt: str
    width: int = 0

    def __html__(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        """With its own style, for a notebook."""
        return (
            f'<div style="max-width:{_NOTEBOOK}px;overflow-x:auto;background:#fff;padding:8px 4px;'
            'container:drawing/inline-size">'
            f"<style>{STYLE}</style>{self.svg}</div>"
        )


def drawing(
    parts: Sequence[str],
    *,
    height: float,
    alt: str,
    left: float = 0,
    right: float = 0,
    width: float = 0,
) -> Drawing:
    """The parts in one SVG element; `left` and `right` are margins beside the plot, in pixels.

    The margins are the element's padding: whatever is at a percentage lies inside the plot, and
    labels overflow into them. Without `alt` it is hidden from assistive technology.
    """
    least = f";min-width:{round(width)}px" if width else ""
    padding = f"padding:0 {round(right)}px 0 {round(left)}px{least}"
    role = f'role="img" aria-label="{quoted(clean(alt, 600))}"' if alt else 'aria-hidden="true"'
    text = (
        f'<svg class="draw" {role} height="{round(height)}" style="{padding}">'
        f"{''.join(parts)}</svg>"
    )
    return Drawing(text, round(height), alt, round(width))


def pinned(
    labels: Sequence[str],
    parts: Sequence[str],
    *,
    height: float,
    alt: str,
    left: float,
    right: float,
    width: float,
) -> Drawing:
    """As `drawing`, for one that scrolls sideways: the labels in its left margin stay in place."""
    tall, edge = round(height), round(left)
    text = (
        f'<div class="pinned" role="img" aria-label="{quoted(clean(alt, 600))}" '
        f'style="min-width:{round(width)}px"><svg class="draw labels" aria-hidden="true" '
        # A plot of no width at all would not be drawn.
        f'height="{tall}" style="width:{edge + 1}px;padding:0 0 0 {edge}px">{"".join(labels)}</svg>'
        f'<svg class="draw" aria-hidden="true" height="{tall}" '
        f'style="padding:0 {round(right)}px 0 0">{"".join(parts)}</svg></div>'
    )
    return Drawing(text, tall, alt, round(width))


def quoted(text: str) -> str:
    """A text made fit for element and attribute."""
    return html.escape(text, quote=True)


def number(value: float) -> str:
    """A coordinate in few bytes.

    >>> number(12.0), number(-0.001), number(3.14159)
    ('12', '0', '3.14')
    """
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def percent(part: float) -> str:
    """A fraction of the plot's width as a coordinate.

    >>> percent(0.5), percent(1 / 3)
    ('50%', '33.33%')
    """
    return number(100 * part) + "%"


def title(text: str) -> str:
    """What a mark says when pointed at; nothing for an empty text."""
    return f"<title>{quoted(clean(text, 300))}</title>" if text else ""


def words(
    x: str,
    y: float,
    text: str,
    look: str = "",
    *,
    room: float = 0,
    size: float = 12,
    dx: float = 0,
    said: str = "",
) -> str:
    """A line of text with its baseline at y.

    Args:
        x: a place, `percent` or `number`.
        look: classes of `STYLE`.
        room: pixels that it may fill; longer ones are cut and say the whole when pointed at. 0 cuts
            at 120 characters.
        size: of the type in pixels, to estimate its width.
        dx: pixels right of x.
        said: what it says when pointed at, where that is not the whole text.
    """
    whole = clean(text, 300)
    shown = fit(whole, room, size) if room else clean(text, 120)
    more = title(said or (whole if shown != whole else ""))
    look = f' class="{look}"' if look else ""
    shift = f' dx="{number(dx)}"' if dx else ""
    return f'<text x="{x}" y="{number(y)}"{shift}{look}>{quoted(shown)}{more}</text>'


def box(
    x: str, y: float, width: str, height: float, look: str, said: str = "", *, shift: float = 0
) -> str:
    """A rectangle that says something when pointed at; `shift` moves it right, in pixels."""
    moved = f' transform="translate({number(shift)},0)"' if shift else ""
    head = f'<rect x="{x}" y="{number(y)}" width="{width}" height="{number(height)}"'
    tail = f">{title(said)}</rect>" if said else "/>"
    return f'{head} class="{look}"{moved}{tail}'


def rule(y: float, look: str = "rule") -> str:
    """A line across the plot."""
    return f'<line x1="0" x2="100%" y1="{number(y)}" y2="{number(y)}" class="{look}"/>'


def upright(x: str, top: float, foot: float, look: str = "rule") -> str:
    """A line from top to foot."""
    return f'<line x1="{x}" x2="{x}" y1="{number(top)}" y2="{number(foot)}" class="{look}"/>'


def stretched(top: float, height: float, parts: Sequence[str]) -> str:
    """Shapes whose x runs from 0 to 1000 over the plot and whose y is in pixels from `top`."""
    return (
        f'<svg x="0" y="{number(top)}" width="100%" height="{number(height)}" overflow="visible" '
        f'viewBox="0 0 1000 {number(height)}" preserveAspectRatio="none">{"".join(parts)}</svg>'
    )


def legend(
    names: Sequence[str], looks: Sequence[str], *, left: float = 0, lines: bool = False
) -> tuple[list[str], float]:
    """Keys with their names, and the height they take.

    Args:
        left: the drawing's left margin, which the legend fills as well.
        lines: keys are strokes rather than boxes.
    """
    parts, x, row = [], 0.0, 0
    for name, look in zip(names, looks, strict=True):
        shown = fit(clean(name, 120), _LEGEND_WIDTH - 24, 12)
        wide = measure(shown, 12) + 42
        if x and x + wide > _LEGEND_WIDTH:
            x, row = 0.0, row + 1
        y = row * _LEGEND_LINE
        at = x - left
        if lines:
            parts.append(
                f'<path d="M{number(at)} {number(y + 8)}h22" class="line {look}"/>'
            )  # fmt: skip
        else:
            parts.append(
                f'<rect x="{number(at + 0.5)}" y="{number(y + 2.5)}" width="14" height="11" '
                f'class="{look}"/>'
            )
        indent = 28 if lines else 20
        parts.append(words(number(at + indent), y + 12, shown, "ink"))
        x += wide + (8 if lines else 0)
    return parts, (row + 1) * _LEGEND_LINE + 6 if names else 0
