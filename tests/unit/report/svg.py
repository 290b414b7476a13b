"""A drawing as a test reads it: its elements, texts, and where they lie."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from shoal.report.draw import Drawing


class Read:
    """The elements of a drawing; it must be well-formed."""

    def __init__(self, drawing: Drawing) -> None:
        self.root = ET.fromstring(drawing.svg)

    def texts(self, look: str = "") -> list[str]:
        """Printed texts in order, of those with the class, without what is said when pointing."""
        return [
            one.text or ""
            for one in self.root.iter("text")
            if not look or look in (one.get("class") or "").split()
        ]

    def said(self) -> list[str]:
        """What the marks say when pointed at."""
        return [one.text or "" for one in self.root.iter("title")]

    def marks(self, tag: str, look: str = "") -> list[dict[str, str]]:
        """Attributes of the elements of that name and class, in order."""
        return [
            dict(one.attrib)
            for one in self.root.iter(tag)
            if not look or look in (one.get("class") or "").split()
        ]

    def across(self, tag: str, look: str, name: str = "width") -> list[float]:
        """An attribute of those elements that is a share of the plot's width, as a fraction."""
        return [float(one[name].removesuffix("%")) / 100 for one in self.marks(tag, look)]
