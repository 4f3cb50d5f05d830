"""PostgreSQL: connections, verified queries, units of work, migrations."""
