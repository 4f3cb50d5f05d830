"""What nobody outside may ever read."""

from collections import Counter
from collections.abc import Sequence

from platform_api.cli.drill.findings import Row, none
from platform_api.cli.drill.server import logs
from platform_api.cli.drill.stage import Stage

SECRETS = ("Traceback", '"trace"', "SELECT ", "INSERT INTO", "UPDATE ", "projects_owner_name_key")


def told(stage: Stage) -> Row:
    """Look for a bug's traces in every answer and in every line of the log."""
    statuses = Counter(answer.status for answer in stage.answers)
    bodies = {answer.body.decode(errors="replace") for answer in stage.answers if not answer.good}
    lines = [line for path in logs(stage.folder) for line in path.read_text().splitlines()]
    secrets = (*SECRETS, stage.password)
    return Row(
        "what was told during all of it",
        [
            none("answers 500", statuses[500], of=statuses.total()),
            none("different failures with a secret", _with(secrets, list(bodies)), of=len(bodies)),
            none("log lines with a secret", _with(secrets, lines), of=len(lines)),
        ],
    )


def _with(secrets: Sequence[str], texts: Sequence[str]) -> int:
    return sum(any(secret in text for secret in secrets) for text in texts)
