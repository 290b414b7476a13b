"""A short text in the two languages of the product."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """A text in English and Chinese.

    >>> Text("Orders placed", "下单次数").of("zh")
    '下单次数'
    """

    en: str
    zh: str

    def of(self, language: str) -> str:
        """The text in `zh`, or in English for every other language."""
        return self.zh if language == "zh" else self.en

    def as_document(self) -> dict[str, str]:
        return {"en": self.en, "zh": self.zh}
