"""What keeps the server from starting, said so that an admin can mend it."""


class StartupError(Exception):
    """A known cause. Its text says what is wrong and what to do; no trace is worth reading."""
