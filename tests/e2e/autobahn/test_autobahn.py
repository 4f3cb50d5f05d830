"""RFC 6455 to the letter: all cases but those about compression, which we decline."""

from pathlib import Path

import pytest

from tests.e2e.autobahn.wstest import NotHere, Verdict, Wstest
from tests.e2e.hardening.server import serving

pytestmark = pytest.mark.slow

MEBIBYTE = 1024 * 1024
CASES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"]
NUMBER_OF_CASES = 301
NON_STRICT = Verdict("NON-STRICT", "OK")
PASSED = {Verdict("OK", "OK"), Verdict("INFORMATIONAL", "INFORMATIONAL"), NON_STRICT}


@pytest.fixture(scope="module")
def wstest() -> Wstest:
    try:
        return Wstest()
    except NotHere as reason:
        pytest.skip(str(reason))


def test_no_case_fails(wstest: Wstest, tmp_path: Path) -> None:
    with serving(limits={"message_bytes": 16 * MEBIBYTE}) as server:
        verdicts = wstest.judge(f"ws://127.0.0.1:{server.port}/echo", CASES, tmp_path)
        server.program.signal()
        assert server.program.exit_code() == 0

    assert len(verdicts) == NUMBER_OF_CASES
    assert {case: told for case, told in verdicts.items() if told not in PASSED} == {}
    assert list(verdicts.values()).count(NON_STRICT) <= 7
    assert "Traceback" not in server.program.output
