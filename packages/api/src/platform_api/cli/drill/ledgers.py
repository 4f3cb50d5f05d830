"""Compares what clients were told with what the database has."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from platform_api.cli.drill.findings import Finding, none
from platform_api.cli.drill.server import ServerFailed
from platform_api.cli.drill.traffic import PROJECTS, Http, Ledger


def compared(port: int, ledgers: Sequence[Ledger], name: str) -> list[Finding]:
    """Look up every project whose name begins with `name`, the traffic's."""
    versions = {
        project["id"]: project["version"]
        for project in _projects(port)
        if project["name"].startswith(name)
    }
    lost, too_many = differences(ledgers, versions)
    acknowledged = sum(len(ledger.created) + ledger.renamed for ledger in ledgers)
    return [
        none("acknowledged writes lost", lost, of=acknowledged),
        none("writes saved twice, or although they failed", too_many),
    ]


def differences(ledgers: Sequence[Ledger], versions: Mapping[str, int]) -> tuple[int, int]:
    """Return how many writes are missing, and how many there are that nobody was told of.

    `versions` are those of all projects that are there, by id.
    """
    told = {id for ledger in ledgers for id in ledger.created}
    perhaps = sum(ledger.created_perhaps for ledger in ledgers)
    lost = len(told - versions.keys())
    too_many = max(0, len(versions.keys() - told) - perhaps)
    for ledger in ledgers:
        renames = versions.get(ledger.project, 1) - 1
        lost += max(0, ledger.renamed - renames)
        too_many += max(0, renames - ledger.renamed - ledger.renamed_perhaps)
    return lost, too_many


def _projects(port: int) -> Iterator[dict[str, Any]]:
    http = Http(port)
    path = f"{PROJECTS}?limit=100"
    cursor = ""
    while True:
        answer = http.ask("GET", path + cursor)
        if not answer.good:
            raise ServerFailed(f"The projects cannot be listed: {answer.body!r}")
        page = answer.json()
        yield from page["items"]
        if page["next_cursor"] is None:
            return http.close()
        cursor = f"&cursor={page['next_cursor']}"
