"""Every endpoint of the API: what is added here is guarded, documented and tested."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.service.audit_routes import audit_endpoints
from shoal.service.endpoint import Endpoint
from shoal.service.key_routes import key_endpoints

if TYPE_CHECKING:
    from shoal.ports import AuditLog
    from shoal.shop import Shop


def endpoints_of(shop: Shop, log: AuditLog) -> list[Endpoint]:
    """The endpoints of a shop that is served."""
    return [*key_endpoints(shop), *audit_endpoints(log)]
