"""Display names: given by users and read by other users."""

import re

# Control characters (UAX #44, Cc), line and paragraph separators, and the explicit directional
# formatting characters (UAX #9, 2.1 to 2.5), as a JSON Schema pattern.
PATTERN = r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*$"

_ALLOWED = re.compile(PATTERN)
# Not White_Space, not Default_Ignorable_Code_Point (UAX #44), and not the blank Braille pattern.
_VISIBLE = re.compile(
    r"[^\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def fault_of(name: str) -> str | None:
    """Return what is wrong with a display name, or None if it is readable.

    It must have a visible character, because otherwise it looks like no name. It must not have an
    embedding, override or isolate, which would change the displayed order (UTR #36, 2.5).
    Directional marks and joiners are allowed beside letters, because Arabic, Persian, Hebrew and
    emoji need them. Names are stored as given, without normalisation.
    """
    if not _ALLOWED.fullmatch(name):
        return "A name has no control characters, line breaks or directional overrides"
    return None if _VISIBLE.search(name) else "A name has at least one visible character"
