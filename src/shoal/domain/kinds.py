"""The kinds of event, and how the names of other conventions map to them."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

VIEW: Final = "view"
SEARCH: Final = "search"
CLICK: Final = "click"
CART_ADD: Final = "cart_add"
CART_REMOVE: Final = "cart_remove"
FAVOURITE: Final = "favourite"
CHECKOUT: Final = "checkout"
PURCHASE: Final = "purchase"
REFUND: Final = "refund"
REVIEW: Final = "review"
SHARE: Final = "share"
REFER: Final = "refer"
SURVEY: Final = "survey"
SIGN_UP: Final = "sign_up"
LOGIN: Final = "login"
PROFILE: Final = "profile"
CONSENT: Final = "consent"
ITEM: Final = "item"
EXPOSURE: Final = "exposure"
OPEN: Final = "open"
RESPONSE: Final = "response"
CUSTOM: Final = "custom"

#: All kinds, in the order of the event contract; a kind's place is its code in compact encodings,
#: so new kinds are only ever appended.
KINDS: Final[tuple[str, ...]] = (
    VIEW, SEARCH, CLICK, CART_ADD, CART_REMOVE, FAVOURITE, CHECKOUT, PURCHASE, REFUND, REVIEW,
    SHARE, REFER, SURVEY, SIGN_UP, LOGIN, PROFILE, CONSENT, ITEM, EXPOSURE, OPEN, RESPONSE, CUSTOM,
)  # fmt: skip

#: Names of the Segment E-commerce Spec V2 and of GA4's recommended events, in lower case.
#: Sources: Segment "Ecommerce V2" event reference; GA4 "Measure ecommerce" developer guide.
ALIASES: Final = MappingProxyType(
    {
        # Segment E-commerce Spec V2
        "products searched": SEARCH,
        "product list viewed": VIEW,
        "product list filtered": VIEW,
        "product clicked": CLICK,
        "product viewed": VIEW,
        "product added": CART_ADD,
        "product removed": CART_REMOVE,
        "cart viewed": VIEW,
        "checkout started": CHECKOUT,
        "checkout step viewed": CHECKOUT,
        "checkout step completed": CHECKOUT,
        "payment info entered": CHECKOUT,
        "order completed": PURCHASE,
        "order refunded": REFUND,
        "order cancelled": REFUND,
        "product added to wishlist": FAVOURITE,
        "wishlist product added to cart": CART_ADD,
        "product shared": SHARE,
        "cart shared": SHARE,
        "product reviewed": REVIEW,
        "promotion viewed": EXPOSURE,
        "promotion clicked": RESPONSE,
        "signed up": SIGN_UP,
        "signed in": LOGIN,
        "identify": PROFILE,
        # GA4
        "view_item_list": VIEW,
        "select_item": CLICK,
        "view_item": VIEW,
        "view_search_results": SEARCH,
        "add_to_cart": CART_ADD,
        "remove_from_cart": CART_REMOVE,
        "view_cart": VIEW,
        "add_to_wishlist": FAVOURITE,
        "begin_checkout": CHECKOUT,
        "add_shipping_info": CHECKOUT,
        "add_payment_info": CHECKOUT,
        "view_promotion": EXPOSURE,
        "select_promotion": RESPONSE,
    }
)


def kind_of(name: str) -> str | None:
    """The kind that a foreign event name stands for, or None if none is known.

    >>> kind_of("Order Completed"), kind_of("add_to_cart"), kind_of("view"), kind_of("dance")
    ('purchase', 'cart_add', 'view', None)
    """
    low = name.strip().lower()
    if low in KINDS:
        return low
    return ALIASES.get(low)
