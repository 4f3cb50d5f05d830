"""What every error answer must look like."""

import re
from typing import Any

import httpx2


def assert_error(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """Check status, code and shape; return `details`, empty when there are none."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert set(body) <= {"error", "code", "details"}
    assert body["code"] == code
    assert re.fullmatch(r"[a-z][a-z0-9_]*", body["code"])
    assert isinstance(body["error"], str)
    assert body["error"]
    details = body.get("details", {})
    assert details or "details" not in body, "empty details are left out"
    return dict(details)


def assert_names_the_place(error: Exception, *functions: Any) -> None:
    """Check that the error is one line that names each function with its file and line."""
    text = str(error)
    assert "\n" not in text
    for function in functions:
        code = function.__code__
        assert f"{function.__qualname__}, {code.co_filename}:{code.co_firstlineno}" in text
