"""Clients that read and write over HTTP, and remember every answer."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPException
from typing import Any

from platform_api.cli.drill.background import Background

CLIENTS = 8
PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 15.0
PROJECTS = "/api/v1/projects"
OVERLOADED = "overloaded"


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is 0 when there was none. Times are those of `time.monotonic`."""

    method: str
    path: str
    status: int
    retry_after: str | None
    body: bytes
    began: float
    ended: float

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def code(self) -> str:
        """The error's code; what went wrong when there was no answer."""
        return str(self.json()["code"]) if self.status else self.body.decode()

    @property
    def is_open(self) -> bool:
        """Whether the change may or may not have been saved, as far as the client can tell."""
        return not self.good and (self.status == 0 or self.code == "outcome_unknown")

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    def json(self) -> Any:
        return json.loads(self.body)


class Http:
    """One keep-alive connection, made again when it was lost."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        content = None if body is None else json.dumps(body)
        headers = {"content-type": "application/json"} if content else {}
        began = time.monotonic()
        try:
            self._connection.request(method, path, content, headers)
            response = self._connection.getresponse()
            read, retry_after = response.read(), response.getheader("retry-after")
        except (OSError, HTTPException) as error:
            self._connection.close()
            said = type(error).__name__.encode()
            return Answer(method, path, 0, None, said, began, time.monotonic())
        return Answer(method, path, response.status, retry_after, read, began, time.monotonic())

    def close(self) -> None:
        self._connection.close()


def failures(answers: Iterable[Answer]) -> list[Answer]:
    """Return what failed, but for requests that were turned away because the machine is busy: of
    the database those say nothing."""
    return [answer for answer in answers if not answer.good and answer.code != OVERLOADED]


@dataclass(slots=True)
class Ledger:
    """What one client was told: of each project it created, and of the one that it renames.

    A rename makes the version one more, so the version tells how often renames happened.
    """

    created: set[str] = field(default_factory=set)
    created_perhaps: int = 0
    project: str = ""
    renamed: int = 0
    renamed_perhaps: int = 0


class Traffic(Background):
    """`CLIENTS` threads that read, rename and create projects without a rest."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__()
        self.answers: list[Answer] = []
        self.ledgers = [Ledger() for _ in range(CLIENTS)]
        self._port = port
        self._name = name
        for number, ledger in enumerate(self.ledgers):
            self.add(partial(self._run, number, ledger))

    def _run(self, number: int, ledger: Ledger) -> None:
        http = Http(self._port)
        prefix, turn = f"{self._name} {number}", 0
        while not self.stopping.is_set():
            turn += 1
            self._create(http, ledger, f"{prefix} new {turn}")
            if ledger.project:
                self._ask(http, "GET", f"{PROJECTS}/{ledger.project}")
                self._rename(http, ledger, f"{prefix} {turn}")
            self.stopping.wait(PAUSE_SECONDS)
        http.close()

    def _create(self, http: Http, ledger: Ledger, name: str) -> None:
        answer = self._ask(http, "POST", PROJECTS, {"name": name})
        if answer.good:
            ledger.created.add(answer.json()["id"])
            ledger.project = ledger.project or answer.json()["id"]
        ledger.created_perhaps += answer.is_open

    def _rename(self, http: Http, ledger: Ledger, name: str) -> None:
        answer = self._ask(http, "PATCH", f"{PROJECTS}/{ledger.project}", {"name": name})
        ledger.renamed += answer.good
        ledger.renamed_perhaps += answer.is_open

    def _ask(self, http: Http, method: str, path: str, body: object = None) -> Answer:
        answer = http.ask(method, path, body)
        self.answers.append(answer)
        return answer


class Probes(Background):
    """Asks for liveness and readiness ten times a second."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.live: list[Answer] = []
        self.ready: list[Answer] = []
        self._http = Http(port)
        self.add(self._run)

    def _run(self) -> None:
        while not self.stopping.wait(0.1):
            self.live.append(self._http.ask("GET", "/health/live"))
            self.ready.append(self._http.ask("GET", "/health/ready"))
        self._http.close()
