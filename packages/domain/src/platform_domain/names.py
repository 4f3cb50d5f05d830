"""Names that people give to things, for other people to read."""

import re

# Control characters (UAX #44, Cc), the separators of lines and paragraphs, and the explicit
# directional formatting characters (UAX #9, 2.1 to 2.5), in the words of a JSON Schema.
PATTERN = r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*$"

_ALLOWED = re.compile(PATTERN)
# Not White_Space, not Default_Ignorable_Code_Point (UAX #44), and not the blank of Braille.
_VISIBLE = re.compile(
    r"[^\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def fault_of(name: str) -> str | None:
    """Return what is wrong with a display name, or None when it can be read as it is.

    It must have a character that can be seen, or it could not be told from no name, and no
    embedding, override or isolate that shows text in another order than it has (UTR #36, 2.5).
    Marks of direction and joiners stay allowed beside letters: Arabic, Persian, Hebrew and emoji
    need them. Names are kept as they were given: there is no normalisation.
    """
    if not _ALLOWED.fullmatch(name):
        return "A name has no control characters, line breaks or directional overrides"
    return None if _VISIBLE.search(name) else "A name has at least one visible character"
