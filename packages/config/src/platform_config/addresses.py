"""URLs of other servers. They may contain a password, so no message repeats any part of one."""

import re
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

NOT_ENCODED = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
HINT = (
    "; percent-encode special characters of the user and the password: @ is %40, / is %2F, % is %25"
)


def divided(url: str, schemes: Collection[str]) -> SplitResult | None:
    """Return the parts of `url`, or None if the URL is ambiguous.

    A second `@` is refused (RFC 3986, 3.2.1). libpq would end the password at the first one and use
    the rest of the password as the host, which error messages contain.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # The error message may quote the password.
        return None
    is_url = parts.scheme in schemes and "://" in url and url.isprintable()
    is_clear = url.count("@") == parts.netloc.count("@") <= 1 and not NOT_ENCODED.search(url)
    return parts if is_url and is_clear else None
