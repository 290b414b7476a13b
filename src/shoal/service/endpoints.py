"""Every endpoint of the API: what is added here is guarded, documented and tested."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.service.api import Served, api_endpoints
from shoal.service.audit_routes import audit_endpoints
from shoal.service.changes import ChangeFeed
from shoal.service.endpoint import Endpoint
from shoal.service.key_routes import key_endpoints
from shoal.service.webhook_routes import webhook_endpoints

if TYPE_CHECKING:
    from shoal.ports import AuditLog
    from shoal.shop import Shop


def endpoints_of(
    shop: Shop, log: AuditLog, feed: ChangeFeed | None = None, served: Served | None = None
) -> list[Endpoint]:
    """The endpoints of a shop that is served.

    Args:
        feed: streams of changes, which whoever made it ends; None: one of its own.
        served: what goes on around the shop; None: nothing does.
    """
    feed = feed or ChangeFeed(shop.membership_log, lambda key: True)
    return [
        *key_endpoints(shop),
        *audit_endpoints(log),
        *feed.endpoints(),
        *webhook_endpoints(shop),
        *api_endpoints(shop, served or Served()),
    ]
