"""Which name somebody meant who wrote another."""

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import takewhile

# In a file of ours any name near enough is worth a hint. An environment is full of the machine's
# names (HOSTNAME, LOGNAME), so there only an all but equal one counts.
HINT = 0.6
SURE = 0.85

# Names that differ from a setting by one letter but belong to other software, e.g. Mesos (PORTS).
NAMES_OF_OTHERS = frozenset(
    [
        "PORTS",
        "HOSTS",
        "POST",
        "GHOST",
        "VHOST",
        "XHOST",
        "LHOST",
        "RHOST",
        "LPORT",
        "RPORT",
        "SPORT",
        "DPORT",
        "COST",
        "SORT",
        "FORT",
    ]
)


def likely(name: str, known: Iterable[str]) -> str | None:
    return _closest(name, known, HINT)


def surely(name: str, known: Iterable[str]) -> str | None:
    """Return the intended name if it is clear: one letter differs, or the names are very similar.

    A different digit is not a typo: software numbers its variables (PORT0, PORT1).
    """
    if any(char.isdigit() for char in name):
        return None
    slip = next((other for other in known if is_one_letter_off(name, other)), None)
    return slip or _closest(name, known, SURE)


def is_one_letter_off(name: str, other: str) -> bool:
    """Return whether one letter is added, missing, different, or swapped with the next."""
    if abs(len(name) - len(other)) > 1:
        return False
    same = sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(name, other, strict=False))
    )
    rest, wanted = name[same:], other[same:]
    is_swapped = rest[:2] == wanted[1::-1] and rest[2:] == wanted[2:]
    return is_swapped or rest[1:] in (wanted, wanted[1:]) or rest == wanted[1:]


def _closest(name: str, known: Iterable[str], cutoff: float) -> str | None:
    return next(iter(get_close_matches(name.upper(), known, n=1, cutoff=cutoff)), None)
