"""What is logged, and in which form."""

from pydantic import Field

from platform_config.section import Choice, Environment, Section


class LogLevel(Choice):
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class LogFormat(Choice):
    AUTO = "auto"
    JSON = "json"
    PRETTY = "pretty"


class LogSettings(Section):
    """What is logged, and in which form."""

    prefix = "LOG_"

    level: LogLevel = Field(LogLevel.INFO, description="DEBUG, INFO, WARNING or ERROR.")
    format: LogFormat = Field(
        LogFormat.AUTO,
        description="json, pretty or auto (pretty in development, json in production).",
    )

    def format_in(self, environment: Environment) -> LogFormat:
        """Return `JSON` or `PRETTY`, never `AUTO`."""
        if self.format is not LogFormat.AUTO:
            return self.format
        return LogFormat.PRETTY if environment is Environment.DEVELOPMENT else LogFormat.JSON
