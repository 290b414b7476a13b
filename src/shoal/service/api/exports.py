"""Lists of customers: made among the shop's own exports, told, and handed out.

A list lies where the shop keeps its exports and is named by what it is of: no part of a path comes
from a client.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import FileResponse, Response

from shoal.domain.access import ALLOWED, EXPORTS_MAKE, PERSON_READ
from shoal.domain.time import from_us, iso
from shoal.service.answers import HEADERS
from shoal.service.api.asked import Asked, Body
from shoal.service.api.operation import Operation, Operations
from shoal.service.api.problems import Refused
from shoal.service.api.writing import Writing
from shoal.service.endpoint import Endpoint
from shoal.shop.asking import ShopAsking
from shoal.workflows.exported import FORMATS

if TYPE_CHECKING:
    from shoal.shop import Shop

_TAG: Final = "exports"
_TEXT: Final = {"type": "string", "maxLength": 200}
_EXPORT: Final = {
    "schema": "shoal.export/1", "name": "kmeans-0001-s03.csv", "format": "csv", "customers": 74,
    "segmentation_id": "kmeans-0001", "segment_id": "s03", "members": 80, "without_consent": 6,
    "warnings": [],
}  # fmt: skip
#: Members of a document that hold paths of this machine.
_PATHS: Final = ("path", "exited_path")
_US: Final = 1_000_000


class Exports:
    """Exports of segments."""

    def __init__(self, shop: Shop, asking: ShopAsking, writing: Writing) -> None:
        self._shop, self._asking, self._writing = shop, asking, writing

    def endpoints(self, operations: Operations) -> list[Endpoint]:
        """Routes below `/v1/exports`."""
        order = Body(
            {"type": "object", "required": ["segment"], "properties": {
                "segment": _TEXT,
                "format": {"type": "string", "enum": list(FORMATS)},
                "segmentation": _TEXT,
                "channel": _TEXT,
                "to": {"type": "string", "maxLength": 80},
                "since": _TEXT,
                "holdout": {"type": ["string", "number"], "maxLength": 20},
                "holdout_name": {"type": "string", "maxLength": 80}}},
            {"segment": "s03", "format": "csv", "channel": "email"},
        )  # fmt: skip
        return [operations.endpoint(one) for one in (
            Operation(
                "POST", "/v1/exports", EXPORTS_MAKE, self._make,
                "Write the members of a segment as a list; consents are obeyed", body=order,
                status=201, slow=True, tag=_TAG, example=_EXPORT,
            ),
            Operation(
                "GET", "/v1/exports", EXPORTS_MAKE, self._list,
                "Lists that can be had, and the record of those made for a destination",
                slow=True, tag=_TAG,
                example={"schema": "shoal.export_list/1", "recorded": [], "files": [
                    {"name": "kmeans-0001-s03.csv", "bytes": 1820,
                     "written_at": "2026-05-01T10:00:00Z"}]},
            ),
            Operation(
                "GET", "/v1/exports/{name}", EXPORTS_MAKE, self._file, "A list, as a file",
                tag=_TAG, media="application/octet-stream", example="customer_id\n17850\n",
            ),
        )]  # fmt: skip

    def _make(self, asked: Asked) -> dict[str, Any]:
        if asked.body.get("format") == "klaviyo":
            self._hold_personal(asked)
        with self._writing.held():
            made = self._shop.export(**asked.body, asked_by=asked.key.source)
        return _named(made.as_document())

    def _list(self, asked: Asked) -> dict[str, Any]:
        files = [
            {"name": path.name, "bytes": told.st_size,
             "written_at": iso(from_us(int(told.st_mtime * _US)))}
            for path, told in self._files()
        ]  # fmt: skip
        return {
            "schema": "shoal.export_list/1",
            "recorded": [_named(one) for one in self._shop.exports()],
            "files": files,
        }

    def _file(self, asked: Asked) -> Response:
        for path, told in self._files():
            if path.name == asked.path["name"]:
                if "-klaviyo" in path.name:
                    self._hold_personal(asked)
                return FileResponse(
                    path, media_type="application/octet-stream", filename=path.name,
                    headers=HEADERS, stat_result=told,
                )  # fmt: skip
        raise Refused(
            404, "unknown_export", f"There is no list {asked.path['name'][:80]!r}.",
            hint="GET /v1/exports tells which there are.",
        )  # fmt: skip

    def _hold_personal(self, asked: Asked) -> None:
        """Refuse a list of addresses to who may not see what is personal.

        Raises:
            Refused: `forbidden`.
        """
        may = PERSON_READ in ALLOWED.get(asked.key.role, frozenset())
        if not may and self._asking.addresses_are_personal:
            raise Refused(
                403, "forbidden",
                f"Addresses are personal in this shop, and role {asked.key.role} may not see them.",
                hint="Ask for a list of ids (csv, parquet, segment), or have an administrator make "
                "this one.",
            )  # fmt: skip

    def _files(self) -> list[tuple[Path, Any]]:
        """Files among the exports, by name: no folders, no links, nothing half written."""
        home = self._asking.exports_dir
        if not home.is_dir():
            return []
        found = [(path, path.lstat()) for path in sorted(home.iterdir())]
        return [
            (path, told) for path, told in found
            if stat.S_ISREG(told.st_mode) and not path.name.startswith(".")
        ]  # fmt: skip


def _named(document: Mapping[str, Any]) -> dict[str, Any]:
    """An export's document with names of files instead of paths."""
    told = {name: value for name, value in document.items() if name not in _PATHS}
    if document.get("path"):
        told["name"] = Path(document["path"]).name
    if document.get("exited_path"):
        told["exited_name"] = Path(document["exited_path"]).name
    return told
