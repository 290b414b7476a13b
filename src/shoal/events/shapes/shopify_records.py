"""Customers and products of Shopify's Admin API as dated facts: traits, consent, items.

Source: Shopify developer documentation, GraphQL Admin API: Customer,
CustomerEmailMarketingConsentState, CustomerSmsMarketingConsentState, CustomerEmailAddress,
CustomerPhoneNumber, Product, ProductVariant.
"""

from __future__ import annotations

import json
from typing import Any, Final

from shoal.domain import kinds
from shoal.events.shapes.order_facts import EMAIL_ALIAS, ORDINARY, also_known_as, email_id
from shoal.events.shapes.segment_calls import packed
from shoal.events.shapes.shopify_nodes import (
    CHILDREN,
    Node,
    below,
    inner,
    short_id,
    text,
    told_amount,
    type_of,
)
from shoal.events.texts import raw_text

#: Not traits: what stands elsewhere, and what a later time knew (totals as of the export).
_NO_TRAITS: Final = frozenset(
    {"id", "updatedAt", "numberOfOrders", "amountSpent", "lastOrder", "statistics", "orders",
     "emailMarketingConsent", "smsMarketingConsent", "defaultEmailAddress", "defaultPhoneNumber",
     "__typename", CHILDREN}
)  # fmt: skip
#: (channel, field, state, time) of the two ways in which the API tells consent.
_CONSENTS: Final = (
    ("email", "emailMarketingConsent", "marketingState", "consentUpdatedAt"),
    ("sms", "smsMarketingConsent", "marketingState", "consentUpdatedAt"),
    ("email", "defaultEmailAddress", "marketingState", "marketingUpdatedAt"),
    ("sms", "defaultPhoneNumber", "marketingState", "marketingUpdatedAt"),
)
_NO_PROPERTIES: Final = frozenset(
    {"id", "title", "vendor", "productType", "updatedAt", "variants", "media", "images", "options",
     "__typename", "__parentId", "sku", "price", "displayName", "product", CHILDREN}
)  # fmt: skip


def customer_rows(node: Node) -> list[dict[str, Any]]:
    """A profile as of the customer's last change, the alias of its e-mail address, and a consent
    fact a channel that has a date."""
    key, at = short_id(node.get("id")), text(node, "updatedAt") or text(node, "createdAt")
    address, phone = inner(node, "defaultEmailAddress"), inner(node, "defaultPhoneNumber")
    email = text(node, "email") or text(address, "emailAddress")
    number = text(node, "phone") or text(phone, "phoneNumber")
    traits = {name: value for name, value in node.items() if name not in _NO_TRAITS}
    shared = {"customer": key, "email": email_id(email), "phone": number, "order_mark": ORDINARY}
    rows: list[dict[str, Any]] = [
        shared
        | {"event_id": f"customer/{key}@{at}", "kind": kinds.PROFILE, "event_time": at,
           "country": text(inner(node, "defaultAddress"), "countryCodeV2"),
           "properties": packed(traits | {"email": email, "phone": number})}
    ]  # fmt: skip
    if alias := also_known_as(key, email_id(email)):
        rows.append(
            shared
            | {"event_id": f"customer/{key}#alias@{at}", "kind": kinds.PROFILE, "event_time": at,
               "anonymous": alias, "properties": EMAIL_ALIAS}
        )  # fmt: skip
    told: set[str] = set()
    for channel, field, state, time in _CONSENTS:
        consent = inner(node, field)
        said, when = text(consent, state), text(consent, time)
        if said and when and channel not in told:
            told.add(channel)
            rows.append(
                shared
                | {"event_id": f"customer/{key}#{channel}@{when}", "kind": kinds.CONSENT,
                   "event_time": when, "channel": channel,
                   "properties": json.dumps({"granted": said == "SUBSCRIBED", "state": said})}
            )  # fmt: skip
    return rows


def product_rows(node: Node) -> list[dict[str, Any]]:
    """An item fact a variant, valid from the later of the two last changes; or one a product."""
    if type_of(node) == "ProductVariant":
        return [_item(inner(node, "product"), node)]
    variants = below(node, "variants", "ProductVariant")
    return [_item(node, variant) for variant in variants] or [_item(node, {})]


def _item(product: Node, variant: Node) -> dict[str, Any]:
    times = [text(part, name) for name in ("updatedAt", "createdAt") for part in (variant, product)]
    at = max([time for time in times[:2] if time] or [time for time in times[2:] if time],
             default=None)  # fmt: skip
    key = short_id(variant.get("id")) or short_id(product.get("id"))
    sku, named = text(variant, "sku"), text(variant, "title")
    title = text(product, "title") or text(variant, "displayName")
    if title and named and named != "Default Title":
        title = f"{title} - {named}"
    kept = {name: value for part in (variant, product) for name, value in part.items()
            if name not in _NO_PROPERTIES and not isinstance(value, list)}  # fmt: skip
    tags = product.get("tags")
    if isinstance(tags, list):
        kept["tags"] = ", ".join(str(tag) for tag in tags)
    price = variant.get("price")
    return {
        "event_id": f"item/{key}@{at}",
        "kind": kinds.ITEM,
        "event_time": at,
        "item": sku or key,
        "sku": sku,
        "product": short_id(product.get("id")),
        "variant": short_id(variant.get("id")),
        "title": title,
        "category": text(product, "productType"),
        "brand": text(product, "vendor"),
        "price": raw_text(told_amount(price)),
        "currency": price.get("currencyCode") if isinstance(price, dict) else None,
        "order_mark": ORDINARY,
        "properties": packed(
            kept | {"product": short_id(product.get("id")), "variant": short_id(variant.get("id"))}
        ),
    }
