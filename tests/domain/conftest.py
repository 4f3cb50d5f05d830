from tests.no_database import database_server

__all__ = ["database_server"]
