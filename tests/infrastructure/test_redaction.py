"""What must never reach a log, in the shapes it arrives in."""

from time import process_time

import pytest

from platform_infrastructure.redaction import (
    Json,
    cleaned_fields,
    cleaned_lines,
    cleaned_text,
    is_harmless,
)

CANARY = "c4n4ry-S3cr3t"


@pytest.mark.parametrize(
    "text",
    [
        f"cannot reach postgresql://app:{CANARY}@db:5432/app",
        f"redis://:{CANARY}@cache and postgresql://app:p@{CANARY}@db/app",
        f"postgresql://alice@example.com:{CANARY}@db/app",
        f"Authorization: Bearer {CANARY}",
        f"authorization: Basic {CANARY}, host: x",
        f"Cookie: theme=dark; session={CANARY}",
        f"Set-Cookie: session={CANARY}; HttpOnly",
        f"{{'cookie': 'session={CANARY}'}}",
        f'{{"authorization": "Basic {CANARY}"}}',
        f"[(b'authorization', b'Basic {CANARY}'), (b'cookie', b'a={CANARY}')]",
        f'{{\\"password\\":\\"two words {CANARY}\\"}}',
        f"got bearer {CANARY} instead",
        f"a line\nBearer {CANARY}",
        f"host=db password={CANARY} user=app",
        f"PASSWORD = '{CANARY}'",
        f"password='it\\'s {CANARY}'",
        f"?access_token={CANARY}&page=2",
        f"client_secret: {CANARY}",
        f"PGPASSWORD={CANARY}",
        f"api_key={CANARY} apiKey={CANARY} api-key={CANARY}",
        f"Settings(secret_key='{CANARY}', password_hash='{CANARY}')",
    ],
)
def test_a_secret_inside_a_text_is_masked(text: str) -> None:
    assert CANARY not in cleaned_text(text)
    assert "***" in cleaned_text(text)


@pytest.mark.parametrize(
    "fields",
    [
        {"password": CANARY},
        {"db_password": [CANARY]},
        {"Authorization": f"Basic {CANARY}"},
        {"accessToken": CANARY},
        {"outer": {"headers": [["cookie", CANARY]]}},
        {"outer": [{"client_secret": {"value": CANARY}}]},
    ],
)
def test_a_secret_is_known_by_the_name_of_its_field(fields: dict[str, Json]) -> None:
    assert CANARY not in str(cleaned_fields(fields))


@pytest.mark.parametrize(
    "text",
    [
        "GET /api/v1/projects/5 answered 200",
        "listening on http://127.0.0.1:8000/health",
        "see https://example.org/a@b",
        "max_tokens=100, keyboard: yes",
        "the bearer of bad news",
        "password=***",
        "",
    ],
)
def test_a_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert cleaned_text(text) == text


def test_what_stands_around_a_secret_stays_readable() -> None:
    text = f"postgresql://app:{CANARY}@db/app refused, password='{CANARY}', user=app"

    assert cleaned_text(text) == "postgresql://app:***@db/app refused, password='***', user=app"


@pytest.mark.parametrize(
    "character",
    [
        *map(chr, range(0x20)),
        *"\x7f\x85\x9b\u061c\u200e\u200f\u2028\u2029",
        *"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    ],
)
def test_a_control_character_is_shown_instead_of_obeyed(character: str) -> None:
    clean = cleaned_text(f"a{character}b")

    assert character not in clean
    assert clean.startswith("a\\")


def test_the_lines_of_a_trace_stay_and_nothing_else_does() -> None:
    assert cleaned_lines("one\n  two\x1b[2J\r\n") == "one\n  two\\x1b[2J\\r\n"


@pytest.mark.parametrize(
    "line", [b'{"a":"x\\ny"}', b'{"a":"\x7f"}', '{"a":"\u2028"}'.encode(), b'{"PASSWORD":"x"}']
)
def test_a_line_that_needs_care_is_not_harmless(line: bytes) -> None:
    assert not is_harmless(line)


@pytest.mark.parametrize(
    "part", ["://a:", "token", "token=' ", "cookie:\t", "bearer ", "\\\"'", "password=\\\\", "@:/"]
)
def test_a_hostile_text_takes_linear_time(part: str) -> None:
    def seconds(length: int) -> float:
        text = (part * length)[:length]
        started = process_time()
        cleaned_text(text)
        return process_time() - started

    short, long = min(seconds(10_000) for _ in range(3)), min(seconds(80_000) for _ in range(3))

    # Eight times the text; a quadratic pattern would take sixty-four times as long.
    assert long < 32 * short + 0.01
