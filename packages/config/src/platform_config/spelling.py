"""Which name somebody meant who wrote another."""

from collections.abc import Iterable
from difflib import get_close_matches

# In a file of ours any name near enough is worth a hint. An environment is full of the machine's
# names (HOSTNAME, LOGNAME), so there only an all but equal one counts.
HINT = 0.6
SURE = 0.85


def likely(name: str, known: Iterable[str]) -> str | None:
    return _closest(name, known, HINT)


def surely(name: str, known: Iterable[str]) -> str | None:
    """Return the name meant if hardly another can be: swapped letters, or nearly all the same."""
    letters = sorted(name.upper())
    swapped = next((other for other in known if sorted(other) == letters), None)
    return swapped or _closest(name, known, SURE)


def _closest(name: str, known: Iterable[str], cutoff: float) -> str | None:
    return next(iter(get_close_matches(name.upper(), known, n=1, cutoff=cutoff)), None)
