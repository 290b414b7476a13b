"""What verbs of the shop's own machine write into the audit log."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal import bootstrap
from shoal.domain.audit import BEGUN, DONE, FAILED, Act, Who
from shoal.domain.errors import EXIT_DONE, EXIT_FAILED, ShoalError
from shoal.domain.time import system_clock

if TYPE_CHECKING:
    from shoal.ports import AuditLog


def audit_log(shop: Path) -> AuditLog:
    """The shop's audit log; whoever opens it closes it.

    Raises:
        OperationError: `shop_newer`, `shop_damaged`, `no_permission`, `disk_full`.
    """
    return bootstrap.attach(shop).audit_log()


@contextmanager
def audited(shop: Path, action: str, **facts: Any) -> Iterator[dict[str, Any]]:
    """A block that changes something: written down before it begins, and again when it ended.

    Args:
        action: the verb.
        facts: of what is asked; never what names a person, and never a key.

    Yields:
        Where facts of what was done go.

    Raises:
        OperationError: `audit_broken`, `disk_full`, `no_permission`: nothing was begun.
    """
    with closing(audit_log(shop)) as log:
        act = Act(system_clock(), Who("local", owner=user()), action, BEGUN, facts=facts)
        [number] = log.append([act])
        found: dict[str, Any] = {**facts, "began": number}
        outcome, status = FAILED, EXIT_FAILED
        try:
            yield found
            outcome, status = DONE, EXIT_DONE
        except ShoalError as error:
            found["code"], status = error.code, error.exit_code
            raise
        finally:
            ended = replace(act, at=system_clock(), outcome=outcome, status=status, facts=found)
            log.append([ended])


def note(shop: Path, action: str, **facts: Any) -> None:
    """Write down something that was done already.

    Raises:
        OperationError: `audit_broken`, `disk_full`, `no_permission`.
    """
    with closing(audit_log(shop)) as log:
        who = Who("local", owner=user())
        log.append([Act(system_clock(), who, action, DONE, status=EXIT_DONE, facts=facts)])


def user() -> str:
    """The user of the operating system, whatever the environment says."""
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return f"uid {os.getuid()}" if hasattr(os, "getuid") else "unknown"
