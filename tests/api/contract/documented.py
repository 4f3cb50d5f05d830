"""Holds an answer of the application against the document that describes it."""

from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import jsonschema_rs

Document = Mapping[str, Any]


def operations_in(document: Document) -> dict[str, dict[str, Any]]:
    """Return every operation object by its id."""
    return {
        operation["operationId"]: operation
        for methods in document["paths"].values()
        for operation in methods.values()
    }


def resolved(document: Document, node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference, if `node` is one. Raises `KeyError` when it leads nowhere."""
    if "$ref" not in node:
        return node
    found: Any = document
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return resolved(document, found)


def codes_of(response: Mapping[str, Any]) -> set[str]:
    """Return the error codes that a response object promises."""
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    errors = [e for e in schema.get("oneOf", [schema]) if "code" in e.get("properties", {})]
    return {code for e in errors for code in e["properties"]["code"].get("enum", ())}


def references_in(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "$ref")
        yield from (target for value in node.values() for target in references_in(value))
    if isinstance(node, list):
        yield from (target for value in node for target in references_in(value))


def validator(document: Document, schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    whole = {**schema, "components": document["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def assert_documented(document: Document, id: str, response: httpx2.Response) -> None:
    """Fail when status, headers or body are not what the operation `id` promises."""
    responses = operations_in(document)[id]["responses"]
    status = str(response.status_code)
    # `default` covers what no operation of ours answers, so it must not be needed here.
    assert status in responses, f"{id} does not say that it answers {status}: {response.text}"
    promised = resolved(document, responses[status])
    for name, header in promised["headers"].items():
        assert not resolved(document, header)["required"] or name in response.headers, name
    if "content" not in promised:
        assert response.content == b""
        return
    assert set(promised["content"]) == {response.headers["content-type"]}
    (media,) = promised["content"].values()
    validator(document, media["schema"]).validate(response.json())
