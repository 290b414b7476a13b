"""Numbers as a reader wants them: units, thousands separators, no more digits than they bear."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

#: A space that does not break, between a number and its unit.
NBSP: Final = "\u00a0"

#: Currencies whose smallest unit is the whole unit (ISO 4217 exponent 0).
_WHOLE: Final = frozenset({"JPY", "KRW", "VND", "CLP", "ISK", "UGX", "XAF", "XOF", "XPF"})

_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip

#: Shown where a value is not defined.
MISSING: Final = "–"


def grouped(value: float, digits: int = 0) -> str:
    """The number with thousands separators and a real minus sign.

    >>> grouped(1234567), grouped(-0.0004, 2), grouped(-12.345, 1)
    ('1,234,567', '0.00', '−12.3')
    """
    text = f"{value:,.{digits}f}"
    if text.startswith("-"):
        text = text[1:] if not text.strip("-0.,") else "−" + text[1:]
    return text


def digits_for(value: float) -> int:
    """Decimals that leave about three significant figures, at most 3.

    >>> digits_for(1234.5), digits_for(45.2), digits_for(4.52), digits_for(0.0452)
    (0, 1, 2, 3)
    """
    size = abs(value)
    if size >= 100 or size == 0:
        return 0
    return min(3, 2 - math.floor(math.log10(size)))


@dataclass(frozen=True)
class Numbers:
    """Formats numbers for one language and currency (`currency` may be empty: unit not stated)."""

    lang: str = "en"
    currency: str = ""

    def count(self, value: float | None) -> str:
        """A whole number.

        >>> Numbers().count(20314)
        '20,314'
        """
        return MISSING if value is None else grouped(value)

    def share(self, value: float | None) -> str:
        """A fraction of 1 as a percentage: one decimal, `<0.1 %` for what would round to nothing.

        >>> Numbers().share(0.1234), Numbers().share(0.0001), Numbers().share(1)
        ('12.3\\xa0%', '<0.1\\xa0%', '100\\xa0%')
        """
        if value is None or not math.isfinite(value):
            return MISSING
        if 0 < value < 0.0005:
            return f"<0.1{NBSP}%"
        if 0.9995 <= value < 1:
            return f">99.9{NBSP}%"
        return f"{grouped(100 * value, 0 if value in (0, 1) else 1)}{NBSP}%"

    def short_share(self, value: float) -> str:
        """A fraction of 1 as a percentage in few characters, for the scale of a figure.

        >>> Numbers().short_share(0.2), Numbers().short_share(0.005)
        ('20\\xa0%', '0.5\\xa0%')
        """
        return f"{self.plain(100 * value)}{NBSP}%"

    def money(self, value: float | None) -> str:
        """An amount with its currency: cents below 1,000 units, none above.

        >>> Numbers(currency="GBP").money(1234.5), Numbers(currency="GBP").money(12.5)
        ('GBP\\xa01,234', 'GBP\\xa012.50')
        """
        if value is None or not math.isfinite(value):
            return MISSING
        digits = 0 if abs(value) >= 1000 or self.currency in _WHOLE or value == 0 else 2
        text = grouped(value, digits)
        return f"{self.currency}{NBSP}{text}" if self.currency else text

    def short_money(self, value: float | None) -> str:
        """An amount in few characters: millions as M, in Chinese ten-thousands as 万.

        >>> Numbers(currency="GBP").short_money(8_887_209)
        'GBP\\xa08.89M'
        >>> Numbers(lang="zh", currency="CNY").short_money(8_887_209)
        'CNY\\xa0888.7万'
        """
        if value is None or not math.isfinite(value):
            return MISSING
        steps = ((1e8, "亿"), (1e4, "万")) if self.lang == "zh" else ((1e9, "bn"), (1e6, "M"))
        for step, name in steps:
            if abs(value) >= step:
                scaled = value / step
                digits = 0 if abs(scaled) >= 1000 else 2 if abs(scaled) < 100 else 1
                text = grouped(scaled, digits) + name
                return f"{self.currency}{NBSP}{text}" if self.currency else text
        return self.money(value)

    def short_count(self, value: float) -> str:
        """A count in few characters, exact below ten thousand.

        >>> Numbers().short_count(9314), Numbers().short_count(812_345)
        ('9,314', '812k')
        """
        if abs(value) < 10_000:
            return grouped(value)
        steps = (
            ((1e8, "亿"), (1e4, "万"))
            if self.lang == "zh"
            else ((1e9, "bn"), (1e6, "M"), (1e3, "k"))
        )
        for step, name in steps:
            if abs(value) >= step:
                return self.plain(value / step) + name
        return grouped(value)

    def plain(self, value: float | None) -> str:
        """A number without a unit, to about three significant figures, without trailing zeros.

        >>> Numbers().plain(4.5218), Numbers().plain(12000.4), Numbers().plain(8.4)
        ('4.52', '12,000', '8.4')
        """
        if value is None or not math.isfinite(value):
            return MISSING
        text = grouped(value, digits_for(value))
        return text.rstrip("0").rstrip(".") if "." in text else text

    def signed(self, value: float | None, digits: int = 2) -> str:
        """A difference with its sign.

        >>> Numbers().signed(0.5), Numbers().signed(-1.234)
        ('+0.50', '−1.23')
        """
        if value is None or not math.isfinite(value):
            return MISSING
        text = grouped(value, digits)
        return text if text.startswith("−") or value == 0 else "+" + text

    def day(self, value: date) -> str:
        """A calendar day.

        >>> Numbers().day(date(2011, 12, 9)), Numbers(lang="zh").day(date(2011, 12, 9))
        ('9 Dec 2011', '2011年12月9日')
        """
        if self.lang == "zh":
            return f"{value.year}年{value.month}月{value.day}日"
        return f"{value.day} {_MONTHS[value.month - 1]} {value.year}"

    def moment(self, value: datetime) -> str:
        """A moment to the minute; the zone is said beside it.

        >>> Numbers().moment(datetime(2011, 12, 9, 12, 50))
        '9 Dec 2011, 12:50'
        """
        comma = " " if self.lang == "zh" else ", "
        return f"{self.day(value.date())}{comma}{value:%H:%M}"
