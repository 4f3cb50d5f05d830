"""Queries of the tests."""

from platform_queries import Exec, One


class Backend(One[int]):
    sql = "SELECT pg_backend_pid()"


class CountProjects(One[int]):
    sql = "SELECT count(*) FROM projects"


class Sleep(Exec):
    sql = "SELECT pg_sleep(%(seconds)s)"
    seconds: float


class Touch(Exec):
    sql = "UPDATE projects SET version = version + 1 WHERE name = %(name)s"
    name: str
