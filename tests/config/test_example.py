from pathlib import Path

from platform_config import env_example, load
from platform_config.settings import Settings
from platform_config.variables import variables
from tests.config.reading import written

COMMITTED = Path(__file__).parents[2] / ".env.example"


def test_the_committed_example_is_the_generated_one() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == env_example()


def test_every_variable_is_in_the_example() -> None:
    for name in variables():
        assert f"\n#{name}=" in env_example()


def test_the_example_with_everything_switched_on_means_the_defaults(tmp_path: Path) -> None:
    lines = [
        line.removeprefix("#") if line[1:2].isupper() else line
        for line in env_example().splitlines()
    ]
    dotenv = written(tmp_path / ".env", "\n".join(lines))

    loaded = load({}, dotenv)

    assert loaded.settings == Settings()
    assert loaded.origins["PORT"].startswith(str(dotenv))


def test_an_entry_says_what_it_is_its_default_and_whether_production_needs_it() -> None:
    text = env_example().replace("\n# ", " ")

    assert "Port for clients; 0 takes any free port. Default: 8000.\n#PORT=8000\n" in text
    assert "Default in development: none. Required in production. Secret." in text
