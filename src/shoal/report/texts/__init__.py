"""The one catalogue of the report's texts: the same keys and placeholders in every language."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from shoal.domain.errors import UsageError
from shoal.report.texts.en import EN
from shoal.report.texts.lineage import LINEAGE_EN, LINEAGE_ZH
from shoal.report.texts.model import MODEL_EN, MODEL_ZH
from shoal.report.texts.money import MONEY_EN, MONEY_ZH
from shoal.report.texts.movement import MOVEMENT_EN, MOVEMENT_ZH
from shoal.report.texts.pair import PAIR_EN, PAIR_ZH
from shoal.report.texts.quality_en import QUALITY_EN
from shoal.report.texts.quality_zh import QUALITY_ZH
from shoal.report.texts.reasons import REASONS_EN, REASONS_ZH
from shoal.report.texts.story_en import STORY_EN
from shoal.report.texts.story_zh import STORY_ZH
from shoal.report.texts.zh import ZH

CATALOGUE: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "en": {
            **EN,
            **LINEAGE_EN,
            **MODEL_EN,
            **MONEY_EN,
            **MOVEMENT_EN,
            **PAIR_EN,
            **QUALITY_EN,
            **REASONS_EN,
            **STORY_EN,
        },
        "zh": {
            **ZH,
            **LINEAGE_ZH,
            **MODEL_ZH,
            **MONEY_ZH,
            **MOVEMENT_ZH,
            **PAIR_ZH,
            **QUALITY_ZH,
            **REASONS_ZH,
            **STORY_ZH,
        },
    }
)

#: BCP 47 tags for the `lang` attribute of the page.
TAGS: Final = MappingProxyType({"en": "en", "zh": "zh-Hans"})


class Texts:
    """The texts of one language.

    >>> Texts("en")("segments.title"), Texts("zh")("segments.title")
    ('Segments', '分群')
    >>> Texts("en").counted("customer", 1, "1"), Texts("en").counted("customer", 2, "2")
    ('1 customer', '2 customers')
    """

    def __init__(self, lang: str) -> None:
        if lang not in CATALOGUE:
            raise UsageError(
                "usage",
                f"the report cannot be written in language {lang!r}",
                hint=f"Choose one of: {', '.join(CATALOGUE)}.",
            )
        self.lang = lang
        self.tag = TAGS[lang]
        self._texts = CATALOGUE[lang]

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key with its placeholders filled; a missing key is a mistake of ours."""
        return self._texts[key].format(**values)

    def counted(self, noun: str, number: int, shown: str) -> str:
        """A number with its noun in the right form: `noun.<noun>.one` or `noun.<noun>.many`."""
        return self(f"noun.{noun}.{'one' if number == 1 else 'many'}", n=shown)

    def known(self, key: str) -> bool:
        """Whether the catalogue has the key (for reason codes and kinds, which may be new)."""
        return key in self._texts

    def listed(self, parts: list[str]) -> str:
        """A list in a sentence.

        >>> Texts("en").listed(["a", "b", "c"]), Texts("zh").listed(["a", "b", "c"])
        ('a, b and c', 'a、b和c')
        """
        if len(parts) < 2:
            return "".join(parts)
        return self("list.comma").join(parts[:-1]) + self("list.and") + parts[-1]
