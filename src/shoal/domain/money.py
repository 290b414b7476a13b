"""Money: int64 micro-units of a currency."""

from __future__ import annotations

from typing import Final

#: One unit of currency (one dollar, one yen) in stored micro-units.
MICROS: Final = 1_000_000

#: ISO 4217 codes of the currencies in circulation, and the usual test and crypto codes left out on
#: purpose: an unknown code is quarantined, never guessed.
CURRENCIES: Final = frozenset(
    """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN
    BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB
    EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR
    ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD
    MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR
    PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE
    SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU
    UZS VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
    """.split()
)


def micros(amount: float | str) -> int:
    """Exact micro-units of a decimal amount, rounded half to even beyond the sixth decimal.

    Raises:
        ValueError: the amount is not a finite number or exceeds int64 micro-units.

    >>> micros("19.99"), micros("0.001"), micros(-5)
    (19990000, 1000, -5000000)
    """
    from decimal import Decimal, InvalidOperation

    try:
        value = Decimal(str(amount))
    except InvalidOperation as error:
        raise ValueError(f"not an amount: {amount!r}") from error
    if not value.is_finite():
        raise ValueError(f"not a finite amount: {amount!r}")
    whole = int((value * MICROS).to_integral_value())
    if abs(whole) >= 2**63:
        raise ValueError(f"amount beyond int64 micro-units: {amount!r}")
    return whole
