"""What a statement does, told from its text."""

import re
from functools import cache

QUOTED = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
READS = re.compile(r"\s*(?:SELECT|WITH|VALUES|TABLE)\b", re.IGNORECASE)
# A function that writes cannot be seen here; `nextval` and friends do no harm when repeated.
CHANGES = re.compile(r"\b(?:INSERT|UPDATE|DELETE|MERGE|INTO|CALL)\b", re.IGNORECASE)
DELETES = re.compile(r"\s*DELETE\b", re.IGNORECASE)


@cache
def only_reads(sql: str) -> bool:
    """Say whether running the statement twice is the same as running it once."""
    text = QUOTED.sub(" ", sql)
    return READS.match(text) is not None and CHANGES.search(text) is None


@cache
def deletes(sql: str) -> bool:
    return DELETES.match(QUOTED.sub(" ", sql)) is not None
