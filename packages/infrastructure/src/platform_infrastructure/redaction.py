"""Takes secrets and control characters out of what is about to be logged.

It would rather hide a word too many than show a secret, and every pattern runs in linear time:
part of what is logged was written by strangers.
"""

import re
from typing import TypeAlias

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"

MASK = "***"

_CREDENTIAL = (
    r"(?:passw(?:or)?d|passphrase|pwd|secret|token|(?:api|private|access|signing)[_-]?key)"
    r"(?:[_-](?:key|hash|value))?"
)
_HEADER = r"(?:authorization|cookies?)"

_SECRET_NAME = re.compile(rf"(?:{_CREDENTIAL}|{_HEADER})$", re.IGNORECASE)
_URL_PASSWORD = re.compile(r'(://[^\s:/?#"]*:)([^\s"<>]*)')
_BEARER = re.compile(r"(bearer[ \t]+)[\w.~+/=-]{8,}", re.IGNORECASE)


def _pair(name: str, bare_value: str) -> re.Pattern[str]:
    """Match `name=value`, `name: value`, `"name": "value"`, `(b'name', b'value')` and their like.

    A quoted value, also one whose quotes are escaped, ends where its own kind of quote does.
    """
    separator = r"""(?:\\*+["'][ \t]*+[:=,]|[ \t]*+[:=])[ \t]*+(?:b(?=["']))?"""
    # Compared at each position of the value, so it must be short: four levels of escaping.
    quote = r"""(?:\\{16})*+(\\{0,15}["'])?"""
    quoted_value = r"(?:(?!\2)(?:\\.|.))++"
    return re.compile(
        rf"({name}{separator}{quote})(?(2){quoted_value}|{bare_value})", re.IGNORECASE
    )


_SECRET_PAIR = _pair(_CREDENTIAL, r"""[^\s&"']+""")
_HEADER_PAIR = _pair(_HEADER, r"""[^\s"'].*""")

# C0, C1, line and paragraph separators, what turns the direction of text, and lone surrogates.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

# The parts without which none of the patterns for secrets can match, in lower case.
_SUSPICIOUS = (
    "://",
    "passw",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "key",
    "bearer",
    "authorization",
    "cookie",
)


def is_harmless(line: bytes) -> bool:
    """Tell quickly that an encoded JSON line holds nothing to hide or escape.

    JSON writes C0 characters with a backslash; the other control characters are not ASCII,
    but for DEL.
    """
    if b"\\" in line or b"\x7f" in line or not line.isascii():
        return False
    return not _is_suspicious(line.decode("ascii"))


def _is_suspicious(text: str) -> bool:
    lower = text.lower()
    for part in _SUSPICIOUS:  # noqa: SIM110 - a loop is twice as fast, and runs for every line.
        if part in lower:
            return True
    return False


def cleaned_fields(fields: dict[str, Json]) -> dict[str, Json]:
    """Return the fields with their secrets masked and their texts on one line each."""
    return {cleaned_text(name): _cleaned_item(name, item) for name, item in fields.items()}


def _cleaned_item(name: str, item: Json) -> Json:
    is_secret = _is_suspicious(name) and _SECRET_NAME.search(name)
    return MASK if is_secret else _cleaned(item)


def _cleaned(value: Json) -> Json:
    match value:
        case str():
            return cleaned_text(value)
        case dict():
            return cleaned_fields(value)
        case [str(name), item]:  # A header, as ASGI has it.
            return [cleaned_text(name), _cleaned_item(name, item)]
        case list():
            return [_cleaned(item) for item in value]
        case _:
            return value


def cleaned_text(text: str) -> str:
    """Return the text on one line: control characters escaped, secrets masked."""
    if not text.isprintable():
        text = _CONTROL.sub(_escaped, text)
    return _masked(text) if _is_suspicious(text) else text


def cleaned_lines(text: str) -> str:
    """Like `cleaned_text`, but line breaks stay: for tracebacks."""
    return "\n".join(cleaned_text(line) for line in text.split("\n"))


def _escaped(character: re.Match[str]) -> str:
    return character[0].encode("unicode_escape").decode()


def _masked(text: str) -> str:
    text = _URL_PASSWORD.sub(_without_password, text)
    text = _HEADER_PAIR.sub(rf"\1{MASK}", text)
    text = _SECRET_PAIR.sub(rf"\1{MASK}", text)
    return _BEARER.sub(rf"\1{MASK}", text)


def _without_password(match: re.Match[str]) -> str:
    # The last @ ends the password: people forget to encode the ones inside it.
    _, at, host = match[2].rpartition("@")
    return f"{match[1]}{MASK}@{host}" if at else match[0]
