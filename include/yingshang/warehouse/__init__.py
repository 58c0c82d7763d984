"""PostgreSQL as this project uses it: connections, roles, versioned DDL, raw tables, ledger."""

from yingshang.warehouse.connections import ROLES, PgConnection, Role, connect, dsn, session

__all__ = ["ROLES", "PgConnection", "Role", "connect", "dsn", "session"]
