"""Where the contract is published."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson
from starlette.responses import Response

from platform_api.operation import PREFIX

PATH = f"{PREFIX}/openapi.json"


def contract_pages(document: Mapping[str, Any]) -> dict[str, Callable[[], Response]]:
    """Return what answers the document's path: anybody may read it."""
    body = orjson.dumps(document)
    return {PATH: partial(Response, body, media_type="application/json")}
