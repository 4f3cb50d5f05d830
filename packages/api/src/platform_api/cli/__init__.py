"""The command `platform`: everything about a platform but running it."""


def main() -> None:
    from platform_api.cli.commands import app

    app()
