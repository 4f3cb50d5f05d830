"""Parses a Content-Type (RFC 9110, 8.3)."""

import re

_NAME = r"[!#$%&'*+.^_`|~0-9a-z-]++"
_VALUE = rf"""(?:{_NAME}|"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+")"""
# A parameter between two semicolons may be empty (RFC 9110, 5.6.6).
MEDIA_TYPE = re.compile(
    rf"[ \t]*+({_NAME}/{_NAME})((?:[ \t]*+;[ \t]*+(?:{_NAME}={_VALUE})?+)*+)[ \t]*+"
)
PARAMETER = re.compile(rf";[ \t]*+({_NAME})=({_VALUE})")
ESCAPED = re.compile(r"\\(.)")


def is_json(content_type: str) -> bool:
    """Return whether it is JSON and any charset given is UTF-8 (RFC 8259, 8.1)."""
    found = MEDIA_TYPE.fullmatch(content_type.lower())
    if found is None:
        return False
    media_type, parameters = found.groups()
    charsets = [value for name, value in PARAMETER.findall(parameters) if name == "charset"]
    if charsets and (len(charsets) > 1 or _unquoted(charsets[0]) not in ("utf-8", "utf8")):
        return False
    subtype = media_type.partition("/")[2]
    return media_type == "application/json" or subtype.endswith("+json", 1)


def _unquoted(value: str) -> str:
    return ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') else value
