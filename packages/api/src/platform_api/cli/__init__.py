"""The command `platform`: everything about a platform but running it."""


def main() -> None:
    import sys

    from platform_api.cli.commands import app
    from platform_domain.startup import StartupError

    try:
        app()
    except StartupError as error:
        sys.exit(str(error))
