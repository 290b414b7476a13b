"""Texts that come from data, made fit to show: short, and unable to disturb what is around them."""

from __future__ import annotations

import html
import unicodedata
from typing import Final

#: What a name may not hold: it would turn the text around it.
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def clean(text: str, limit: int = 60) -> str:
    """A text from data made fit to show: no control or direction marks, at most `limit` characters.

    >>> clean("a\\x00b\\u202ec"), clean("x" * 100, 5)
    ('a b c', 'xxxx…')
    """
    # Cut before looking at characters: a name may be megabytes long.
    head = text[: 4 * limit]
    shown = "".join(
        " " if mark in _TURNING or unicodedata.category(mark) in {"Cc", "Cs"} else mark
        for mark in head
    )
    shown = " ".join(shown.split())
    if len(shown) > limit or len(head) < len(text):
        shown = shown[: limit - 1].rstrip() + "…"
    return shown or "–"


class Clipped(str):
    """A text that was cut; templates show it with the whole of it when pointed at.

    It is an ordinary text elsewhere: put into a sentence, it leaves the whole behind.
    """

    whole: str

    def __html__(self) -> str:
        whole, shown = html.escape(self.whole), html.escape(str.__str__(self))
        return f'<span title="{whole}">{shown}</span>'


def clipped(text: str, limit: int = 60) -> str:
    """As `clean`, but what was cut can still be read by pointing at it, up to 500 characters.

    >>> from markupsafe import escape
    >>> str(escape(clipped("abcdef", 4))), str(escape(clipped("abc", 4)))
    ('<span title="abcdef">abc…</span>', 'abc')
    """
    shown = clean(text, limit)
    whole = clean(text, 500)
    if whole == shown:
        return shown
    found = Clipped(shown)
    found.whole = whole
    return found
