from collections.abc import Iterator

import pytest
from pydantic import Field, Secret, SecretStr

from platform_config import Section, Settings
from platform_config.variables import Variable, holds_secret, sections, variables


def test_a_field_needs_a_description() -> None:
    with pytest.raises(TypeError, match=r"Export\.folder needs a description"):

        class Export(Section):
            prefix = "EXPORT_"
            folder: str = "x"


def test_a_field_needs_a_default() -> None:
    with pytest.raises(TypeError, match=r"Export\.folder needs a description and a default"):

        class Export(Section):
            prefix = "EXPORT_"
            folder: str = Field(description="Where exports go.")


def test_no_two_fields_share_a_variable() -> None:
    fields = sum(len(section.model_fields) for _, section in sections())

    assert len(variables()) == fields + 1


def test_the_names_are_prefix_and_field_in_upper_case() -> None:
    assert {"APP_ENV", "HOST", "ADMIN_PORT", "DATABASE_POOL_MIN_SIZE"} <= variables().keys()


def test_every_attribute_of_the_settings_is_a_section_or_the_environment() -> None:
    assert set(Settings.model_fields) == {"environment", *(name for name, _ in sections())}


@pytest.mark.parametrize("annotation", [SecretStr, SecretStr | None, Secret[int], list[SecretStr]])
def test_a_secret_is_recognised_wherever_it_stands_in_the_type(annotation: object) -> None:
    assert holds_secret(annotation)
    assert not holds_secret(str | None)


def test_the_addresses_of_other_servers_are_the_secrets() -> None:
    def secrets() -> Iterator[Variable]:
        return (variable for variable in variables().values() if variable.secret)

    names = ["DATABASE_URL", "DATABASE_DIRECT_URL", "VALKEY_URL"]
    assert [variable.name for variable in secrets()] == names
