"""The server as a page in a real Chromium sees it: CORS, WebSockets, errors, documentation.

Needs the dependency group `browser` and a Chromium or Chrome of the system:
`uv run --group browser pytest -m slow`.
"""

import shutil
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
import psycopg
import pytest

from tests.e2e.serve import listening
from tests.processes import Program

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# As root, as in containers, Chromium runs only without its sandbox; the rest keeps it quiet.
SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

CREATE = """
async (host) => await fetch(`http://${host}/api/v1/projects`, {
    method: "POST",
    headers: {"content-type": "application/json", "x-user-id": "alice"},
    body: JSON.stringify({name: "Storyboard"}),
}).then(
    async (answer) => ({
        status: answer.status, id: answer.headers.get("x-request-id"), body: await answer.json(),
    }),
    (error) => ({error: error.name}),
)
"""
CONNECT = """
async (host) => {
    const socket = new WebSocket(`ws://${host}/api/v1/ws?user=alice`);
    const waiting = {};
    window.heard = (type) => new Promise((resolve, reject) => {
        waiting[type] = resolve;
        setTimeout(() => reject(new Error(`no ${type} came`)), 10000);
    });
    socket.onmessage = ({data}) => waiting[JSON.parse(data).type]?.(JSON.parse(data));
    await heard("welcome");
    window.event = heard("event");
    socket.send(JSON.stringify({type: "subscribe", topic: "user:alice"}));
    return await heard("subscribed");
}
"""
REFUSED = """
async (host) => await new Promise((resolve) => {
    const socket = new WebSocket(`ws://${host}/api/v1/ws?user=alice`);
    socket.onopen = () => resolve("opened");
    socket.onclose = ({code}) => resolve(code);
})
"""


class Blank(BaseHTTPRequestHandler):
    """An empty page at every path; the tests bring the script."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>A page</title>")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def pages() -> Iterator[int]:
    """The port of a web server of somebody else's. By its two names it has two origins."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Blank) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield server.server_port
        server.shutdown()
        serving.join()


@pytest.fixture(scope="module")
def browser(worker_database: str) -> Iterator["Browser"]:
    """From here on playwright's event loop is this thread's, and migrating a database takes one of
    its own: so the databases come first."""
    missing = "playwright is not installed: use `uv run --group browser`"
    playwright = pytest.importorskip("playwright.sync_api", reason=missing)
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"no Chromium is installed on this {sys.platform}")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


@pytest.fixture
def program(tmp_path: Path, fresh_database_url: str, pages: int) -> Iterator[Program]:
    """The server; it allows the pages of http://localhost and not those of http://127.0.0.1."""
    origins = f"http://localhost:{pages}"
    with listening(tmp_path, DATABASE_URL=fresh_database_url, CORS_ORIGINS=origins) as program:
        yield program


def host(program: Program) -> str:
    return f"127.0.0.1:{program.port}"


def test_a_page_of_an_allowed_origin_creates_a_project_and_is_told_so(
    page: "Page", pages: int, program: Program
) -> None:
    page.goto(f"http://localhost:{pages}/")

    subscribed = page.evaluate(CONNECT, host(program))
    created = page.evaluate(CREATE, host(program))
    event = page.evaluate("event")

    assert created["status"] == 201
    assert created["id"], "the page may read the request id"
    assert event["topic"] == subscribed["topic"] == "user:alice"
    assert event["data"]["type"] == "project.created"
    assert event["data"]["id"] == created["body"]["id"]


def test_a_page_of_a_foreign_origin_gets_nothing_and_changes_nothing(
    page: "Page", pages: int, program: Program
) -> None:
    page.goto(f"http://127.0.0.1:{pages}/")

    assert page.evaluate(CREATE, host(program)) == {"error": "TypeError"}
    assert page.evaluate(REFUSED, host(program)) == 1006

    kept = httpx2.get(f"http://{host(program)}/api/v1/projects", headers={"x-user-id": "alice"})
    assert kept.json()["items"] == []


def test_a_page_reads_why_its_socket_would_be_refused(
    page: "Page", pages: int, program: Program
) -> None:
    page.goto(f"http://localhost:{pages}/")

    answer = page.evaluate(
        "async (url) => (await fetch(url)).json()", f"http://{host(program)}/api/v1/ws"
    )

    assert answer["code"] == "unauthenticated"


def test_a_page_reads_the_body_of_a_500(
    page: "Page", pages: int, program: Program, fresh_database_url: str
) -> None:
    with psycopg.connect(fresh_database_url, autocommit=True) as connection:
        connection.execute("DROP TABLE projects")
    page.goto(f"http://localhost:{pages}/")

    answer = page.evaluate(CREATE, host(program))

    assert answer["status"] == 500
    assert answer["body"]["code"] == "internal_error"
    assert answer["body"]["details"]["request_id"] == answer["id"]


def test_the_documentation_shows_the_operations_and_asks_no_other_host(
    page: "Page", program: Program, tmp_path: Path
) -> None:
    asked: set[str] = set()
    faults: list[str] = []
    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))

    page.goto(f"http://{host(program)}/docs")
    page.get_by_text("/api/v1/projects/{id}").first.wait_for()
    page.screenshot(path=tmp_path / "docs.png", full_page=True)

    assert asked - {""} == {host(program)}  # A data: URL has no host.
    assert faults == []
