"""Who is meant when something was cancelled."""

import asyncio


def is_cancelled(error: BaseException) -> bool:
    """Say whether `error` means that the running task itself is to end.

    Work that awaits something which was cancelled sees the same error, but nobody asked it to end.
    """
    task = asyncio.current_task()
    cancelled = isinstance(error, asyncio.CancelledError)
    return cancelled and task is not None and task.cancelling() > 0
