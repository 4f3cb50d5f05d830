"""How long to wait before what ended is started again."""

WELL_SECONDS = 60.0
FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0


class BackOff:
    """Waits longer after each end in a row; one after a minute of good health begins a new row."""

    def __init__(self) -> None:
        self._next = 0.0

    def pause(self, lived: float) -> float:
        """Return the seconds to wait, none at the first end; `lived` is how long it went well."""
        pause = 0.0 if lived >= WELL_SECONDS else self._next
        self._next = min(2 * pause, LONGEST_SECONDS) or FIRST_SECONDS
        return pause
