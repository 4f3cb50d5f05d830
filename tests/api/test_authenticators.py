import pytest

from platform_api.authenticators import AnonymousAuthenticator, DevelopmentAuthenticator
from platform_domain.errors import Unauthenticated
from platform_domain.identity import Credentials

pytestmark = pytest.mark.anyio


async def test_everybody_is_anonymous() -> None:
    identity = await AnonymousAuthenticator().authenticate(Credentials({"x-user-id": "eve"}, {}))

    assert identity.user == "anonymous"


@pytest.mark.parametrize(
    ("headers", "query"), [({"x-user-id": "alice"}, {}), ({}, {"user": "alice"})]
)
async def test_development_believes_header_and_query(
    headers: dict[str, str], query: dict[str, str]
) -> None:
    identity = await DevelopmentAuthenticator().authenticate(Credentials(headers, query))

    assert identity.user == "alice"


@pytest.mark.parametrize("user", ["", "a b", "x" * 65, "ä", "a\n", "../x"])
async def test_development_refuses_what_is_no_name(user: str) -> None:
    with pytest.raises(Unauthenticated):
        await DevelopmentAuthenticator().authenticate(Credentials({"x-user-id": user}, {}))
