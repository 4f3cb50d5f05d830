"""What an admin can set, where it came from and what is wrong with it."""

from platform_config.auth import AuthenticatorName, AuthSettings
from platform_config.cors import CorsSettings
from platform_config.database import DatabaseSettings
from platform_config.events import EventsEngine, EventsSettings
from platform_config.example import env_example
from platform_config.explain import Setting, explain
from platform_config.http import HttpSettings
from platform_config.load import Loaded, load
from platform_config.log import LogFormat, LogLevel, LogSettings
from platform_config.problems import ConfigurationError, Problem, Violation
from platform_config.section import REQUIRED_IN_PRODUCTION, Choice, Environment, Section
from platform_config.server import ServerSettings
from platform_config.settings import Settings
from platform_config.shutdown import ShutdownSettings
from platform_config.sockets import SocketsSettings

__all__ = [
    "REQUIRED_IN_PRODUCTION",
    "AuthSettings",
    "AuthenticatorName",
    "Choice",
    "ConfigurationError",
    "CorsSettings",
    "DatabaseSettings",
    "Environment",
    "EventsEngine",
    "EventsSettings",
    "HttpSettings",
    "Loaded",
    "LogFormat",
    "LogLevel",
    "LogSettings",
    "Problem",
    "Section",
    "ServerSettings",
    "Setting",
    "Settings",
    "ShutdownSettings",
    "SocketsSettings",
    "Violation",
    "env_example",
    "explain",
    "load",
]
