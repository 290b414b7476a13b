"""The description of the API: whole, true, and held against everything that a client may send."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.service.calls import call
from tests.unit.service.served import Shelf, served

from shoal.domain.access import PERMISSIONS
from shoal.service.api.openapi import document


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    with served(tmp_path_factory.mktemp("openapi")) as found:
        yield found


def operations(told: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, one)
        for path, methods in told["paths"].items()
        for method, one in methods.items()
    ]


# --- The document ---------------------------------------------------------------------------------


def test_anybody_reads_a_whole_description(shelf: Shelf) -> None:
    told = shelf.ask("/v1/openapi.json", role="nobody")
    assert told.status == 200
    assert told.headers["x-content-type-options"] == "nosniff"
    found = told.document
    assert found["openapi"].startswith("3.1")
    assert {"title", "version"} <= found["info"].keys()
    documented = {(method.upper(), path) for method, path, _ in operations(found)}
    for one in shelf.endpoints:
        assert (one.method, re.sub(r":\w+}", "}", one.path)) in documented
    assert {("POST", "/v1/batch"), ("POST", "/v1/track"), ("POST", "/v1/import")} <= documented
    assert found == document(shelf.endpoints)


def test_every_operation_is_complete(shelf: Shelf) -> None:
    found = document(shelf.endpoints)
    names = [one["operationId"] for _, _, one in operations(found)]
    assert len(names) == len(set(names))
    for method, path, one in operations(found):
        of_path = set(re.findall(r"{(\w+)}", path))
        told = [each for each in one.get("parameters", ()) if each["in"] == "path"]
        assert {each["name"] for each in told} == of_path, path
        assert all(each["required"] for each in told)
        assert len({(each["name"], each["in"]) for each in one.get("parameters", ())}) == len(
            one.get("parameters", ())
        )
        assert one["summary"]
        assert any(status.startswith("2") for status in one["responses"]), (method, path)
        assert {"400", "401"} <= one["responses"].keys()
        assert one["security"]
        if "x-permission" in one:
            assert one["x-permission"] in PERMISSIONS
            assert "403" in one["responses"]


def test_every_reference_leads_somewhere_and_errors_have_code_and_message(shelf: Shelf) -> None:
    found = document(shelf.endpoints)
    for reference in set(re.findall(r'"\$ref": "(#[^"]+)"', json.dumps(found))):
        node: Any = found
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
        assert node
    assert found["components"]["schemas"]["Error"]["required"] == ["code", "message"]
    schemes = found["components"]["securitySchemes"].keys()
    for _, _, one in operations(found):
        assert all(scheme.keys() <= schemes for scheme in one["security"])


def test_examples_are_what_a_route_takes(shelf: Shelf) -> None:
    """Whatever a description shows as a body is no misunderstanding."""
    body = document(shelf.endpoints)["paths"]["/v1/rules/preview"]["post"]["requestBody"]
    example = body["content"]["application/json"]["example"]
    assert shelf.ask("/v1/rules/preview", method="POST", body=example).status == 200
    body = document(shelf.endpoints)["paths"]["/v1/assign"]["post"]["requestBody"]
    example = body["content"]["application/json"]["example"]
    assert shelf.ask("/v1/assign", method="POST", body=example).status == 200


# --- Whatever comes -------------------------------------------------------------------------------

_STRANGE = st.one_of(
    st.sampled_from(["", "0", "-1", "c1", "r01", "rfm-0001", "true", "1e400", "NaN", "null",
                     "../..", "%00", "\0", "'", "2024-03-02", "2024-03-02T10:00:00+25:00", "9" * 40,
                     "0x10", "١٢", "WyJtZW1iZXJzIl0", "WzFd", "bnVsbA"]),
    st.text(max_size=20),
)  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner,
                                                                 max_size=3),
    max_leaves=8,
)  # fmt: skip
#: Changes that this test would make in the world, or that never end.
_LEFT_OUT = re.compile(r"/v1/(keys|webhooks|changes|stream)|/events$|collect")


@st.composite
def requests(draw: st.DrawFn, found: list[tuple[str, str, dict[str, Any]]]) -> dict[str, Any]:
    """A request that a description allows, more or less."""
    method, path, one = draw(st.sampled_from(found))
    query = []
    for each in one.get("parameters", ()):
        if each["in"] == "path":
            value = draw(st.sampled_from(["c1", "r01", "rfm-0001", "s01"]) | _STRANGE)
            path = path.replace("{" + each["name"] + "}", value)
        elif draw(st.booleans()):
            known = each["schema"].get("enum") or ["1", "2024-03-02", "true"]
            value = draw(st.sampled_from([str(value) for value in known]) | _STRANGE)
            if each["name"] == "max_wait":
                value = draw(st.sampled_from(["0", "-1", "x"]))
            query.append((each["name"], value))
    if any(name == "min_seq" for name, _ in query):
        query = [(name, value) for name, value in query if name != "max_wait"]
        query.append(("max_wait", "0"))
    body = b""
    if "requestBody" in one:
        schema = one["requestBody"]["content"]["application/json"]["schema"]
        members = dict.fromkeys(schema.get("properties", {}), _JSON)
        whole = st.fixed_dictionaries({}, optional=members) | _JSON
        text = draw(whole.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40))
        body = text
    return {"method": method.upper(), "path": path, "query": query, "body": body}


def test_nothing_that_a_client_sends_is_a_failure_of_the_service(shelf: Shelf) -> None:
    from urllib.parse import urlencode

    found = [
        (method, path, one)
        for method, path, one in operations(document(shelf.endpoints))
        if "x-permission" in one and not _LEFT_OUT.search(path)
    ]
    assert len(found) > 20

    @settings(max_examples=150, suppress_health_check=list(HealthCheck))
    @given(requests(found))
    def held(one: dict[str, Any]) -> None:
        query = urlencode(one["query"], errors="replace")
        path = one["path"].encode("utf-8", "replace").decode()
        told = call(
            shelf.app, one["method"], path, key=shelf.keys["admin"], body=one["body"], query=query
        )
        assert told.status < 500 or told.status == 503, (one, told)
        if told.status >= 400:
            assert told.document["code"], one
            assert told.document["message"], one

    held()
