"""What RFC 9110 and RFC 9112 ask of a request's head, and h11 does not."""

import re

import h11
from h11 import LocalProtocolError

# Field lines and the empty line after them (RFC 9112, 5): no bare LF and no folding.
FIELD_LINES = rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\t -~\x80-\xff]*+\r\n)*+\r\n"
_HOST = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::([0-9]*))?"
)
_ABSOLUTE = re.compile(rb"https?://([^/?]++)(.*+)", re.IGNORECASE)
_MAX_PORT = 65535


def checked(request: h11.Request) -> h11.Request:
    """Return the request in the form that applications expect: HTTP/1.0 or 1.1, origin-form.

    Raises `LocalProtocolError` with the status of the refusal.
    """
    _check_target(request)
    _check_version(request)
    _check_method(request)
    _check_framing(request)
    request = _in_origin_form(request)
    _check_host(request)
    return request


def _check_target(request: h11.Request) -> None:
    """Refuse a fragment: no form of the request target allows one (RFC 9112, 3.2)."""
    if b"#" in request.target:
        raise LocalProtocolError("The target has a fragment.")


def _check_version(request: h11.Request) -> None:
    if not request.http_version.startswith(b"1."):
        raise LocalProtocolError("Only HTTP/1 is spoken here.", error_status_hint=505)


def _check_method(request: h11.Request) -> None:
    # Methods are case-sensitive (RFC 9110, 9.1), but Hypercorn makes `get` a GET.
    if request.method != request.method.upper():
        raise LocalProtocolError("No such method.", error_status_hint=501)


def _check_framing(request: h11.Request) -> None:
    """Refuse a body with two lengths, or chunks in HTTP/1.0 (RFC 9112, 6.1)."""
    names = {name for name, _ in request.headers}
    if b"transfer-encoding" not in names:
        return
    if b"content-length" in names or request.http_version == b"1.0":
        raise LocalProtocolError("The length of the body is ambiguous.")


def _check_host(request: h11.Request) -> None:
    """Refuse a Host that is no `uri-host [":" port]` (RFC 9112, 3.2)."""
    for name, value in request.headers:
        if name == b"host" and not _is_host(value):
            raise LocalProtocolError("The Host is invalid.")


def _is_host(value: bytes) -> bool:
    found = _HOST.fullmatch(value)
    return found is not None and (not found[1] or int(found[1][:6]) <= _MAX_PORT)


def _in_origin_form(request: h11.Request) -> h11.Request:
    """Take path and Host out of an absolute-form target (RFC 9112, 3.2.2)."""
    version = min(request.http_version, b"1.1")
    if _is_usual(request):
        return request if version == request.http_version else _with(request, version=version)
    absolute = _ABSOLUTE.fullmatch(request.target)
    if absolute is None:
        raise LocalProtocolError("The target is neither a path nor a URL.")
    host, path = absolute.groups()
    target = path if path.startswith(b"/") else b"/" + path
    return _with(request, target=target, host=host, version=version)


def _is_usual(request: h11.Request) -> bool:
    target, method = request.target, request.method
    return target.startswith(b"/") or method == b"CONNECT" or (target, method) == (b"*", b"OPTIONS")


def _with(
    request: h11.Request, *, version: bytes, target: bytes = b"", host: bytes = b""
) -> h11.Request:
    headers = request.headers.raw_items()
    if host:
        headers = [(b"Host", host), *(each for each in headers if each[0].lower() != b"host")]
    return h11.Request(
        method=request.method,
        target=target or request.target,
        headers=headers,
        http_version=version,
    )
