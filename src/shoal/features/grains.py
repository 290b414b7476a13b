"""The grains: which groups of a customer's events are kept, and which integers of each.

These tables are a customer's state (with the tail); a change of a grain changes the layout of
stored states and needs a new `STATE_VERSION` and `CONTENT_VERSION` in `shoal.features.state`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import ibis
from ibis import _

from shoal.domain import kinds
from shoal.features.algebra import KEEP_DAYS, Coarser, Grain, Stat

_NIGHT_ENDS_H: Final = 6
_MORNING_ENDS_H: Final = 12
_AFTERNOON_ENDS_H: Final = 18
#: Hour of the local day at which the night begins; it ends at 6.
_NIGHT_BEGINS_H: Final = 22

_OCCURRED: Final = (Stat("first_us", _.us, "min"), Stat("last_us", _.us, "max"))
_N: Final = Stat("n", 1)

CUSTOMER_GRAIN: Final = Grain(
    "customer",
    keys=(),
    stats=(
        Stat("events", 1),
        *_OCCURRED,
        Stat("night", 1, where=(_.hour < _NIGHT_ENDS_H) | (_.hour >= _NIGHT_BEGINS_H)),
        Stat("morning", 1, where=(_.hour >= _NIGHT_ENDS_H) & (_.hour < _MORNING_ENDS_H)),
        Stat("afternoon", 1, where=(_.hour >= _MORNING_ENDS_H) & (_.hour < _AFTERNOON_ENDS_H)),
        Stat("weekend", 1, where=_.weekday >= 5),
    ),
)

KIND: Final = Grain(
    "kind",
    keys=("kind",),
    stats=(
        _N,
        *_OCCURRED,
        Stat("amount", _.gross),
        Stat("rated", 1, where=_.rating_micros.notnull()),
        Stat("rating_micros", _.rating_micros, where=_.rating_micros.notnull()),
    ),
)

SESSION: Final = Grain(
    "session",
    keys=("day", "session"),
    stats=(
        _N,
        *_OCCURRED,
        Stat("views", 1, where=_.kind == kinds.VIEW),
        Stat("carts", 1, where=_.kind == kinds.CART_ADD),
        Stat("searches", 1, where=_.kind == kinds.SEARCH),
        Stat("bought", 1, where=_.is_value),
        Stat("net", _.net),
    ),
    keep_days=KEEP_DAYS,
)

_BY_TIME: Final = ibis.window(group_by="customer_id", order_by="first_us")

ORDER: Final = Grain(
    "order",
    keys=("order_key",),
    stats=(
        *_OCCURRED,
        Stat("day", _.day, "min"),
        Stat("lines", 1),
        Stat("units", _.units),
        Stat("gross", _.gross),
        Stat("discount", _.reduction),
        Stat("priced", 1, where=_.priced),
        Stat("foreign", 1, where=_.foreign),
        Stat("coupons", 1, where=_.coupon.notnull()),
    ),
    where=_.is_value,
    derive=MappingProxyType({"gap_us": _.first_us - _.first_us.lag().over(_BY_TIME)}),
)

_BOUGHT: Final = Stat("bought", 1, where=_.is_value)

CATEGORY: Final = Grain(
    "category", ("top_category",), (_N, _BOUGHT), where=_.top_category.notnull()
)
BRAND: Final = Grain("brand", ("brand",), (_N, _BOUGHT), where=_.brand.notnull())

#: Items that the customer took, put into the cart or kept as favourites. Items only looked at are
#: counted in categories and brands: they would make the states of heavy browsers unbounded.
ITEM: Final = Grain(
    "item",
    ("item_id",),
    (_N, Stat("first_us", _.us, "min"), _BOUGHT),
    where=_.item_id.notnull() & (_.is_value | _.kind.isin((kinds.CART_ADD, kinds.FAVOURITE))),
    refer=True,
)

TOUCH: Final = Grain(
    "touch", ("channel", "device", "country", "region"), (_N, Stat("last_us", _.us, "max"))
)
PAYMENT: Final = Grain("payment", ("payment",), (_N,), where=_.is_value & _.payment.notnull())

#: Declared traits of `profile` events; made by `shoal.features.fold.traits_of`, one row a trait.
TRAIT: Final = Grain(
    "trait", ("trait", "value"), (Stat("last_us", _.us, "max"),), where=_.value.notnull()
)

#: What the customer's events met of declared covariates; made by `shoal.features.covariates.met`.
COVARIATE: Final = Grain(
    "covariate",
    ("covariate", "known_us"),
    (
        _N,
        Stat("micros", _.micros),
        Stat("order_n", 1, where=_.is_value),
        Stat("order_micros", _.micros, where=_.is_value),
        Stat("last_us", _.us, "max"),
    ),
    settle=True,
)

GRAINS: Final = (
    CUSTOMER_GRAIN, KIND, SESSION, ORDER, CATEGORY, BRAND, ITEM, TOUCH, PAYMENT, TRAIT, COVARIATE,
)  # fmt: skip

COARSER: Final = (
    Coarser("day", "session", ("day",)),
    Coarser("channel", "touch", ("channel",)),
    Coarser("device", "touch", ("device",)),
)
