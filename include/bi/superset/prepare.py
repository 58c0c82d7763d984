"""Bring Superset's metadata to what the bundle and the warehouse's roles say. It runs in Superset's own environment.

    python prepare.py BUNDLE_FOLDER < users.json

Standard input: ``{"users": {username: {"password": ..., "conn_id": "warehouse_<role>" or null}}, "admin": username}``.
One process for what are five of Superset's commands, each of which takes 6 s to start.
"""

import json
import sys
from typing import Any

from superset.app import create_app


def main(folder: str, wanted: dict[str, Any]) -> None:
    """Migrate, make roles and users, import the bundle, grant."""
    app = create_app()
    with app.app_context():
        _command(app, "db", "upgrade")
        _command(app, "init")
        _users(wanted)
        _import(app, folder, wanted["admin"])
        _grant()


def _command(app: Any, *arguments: str) -> None:
    from superset.cli.main import superset

    done = app.test_cli_runner().invoke(superset, list(arguments))
    if done.exit_code != 0:
        raise SystemExit(f"superset {' '.join(arguments)}: {done.exception!r} {done.output[-2000:]}")


def _users(wanted: dict[str, Any]) -> None:
    from superset import db, security_manager

    for name, one in wanted["users"].items():
        roles = ["Admin"] if name == wanted["admin"] else ["Gamma", "sql_lab"]
        held = [security_manager.find_role(role) for role in roles]
        held += [security_manager.add_role("Yingshang reader")]
        if one["conn_id"]:
            held.append(security_manager.add_role(one["conn_id"]))
        user = security_manager.find_user(username=name)
        if user is None:
            mail = f"{name}@yingshang.invalid"
            user = security_manager.add_user(name, name, "营商", mail, held, password=one["password"])
            if not user:
                raise SystemExit(f"Superset refuses the user {name}")
        else:
            user.roles = held
            user.active = True
            security_manager.reset_password(user.id, one["password"])
    for user in security_manager.get_all_users():
        if user.username not in wanted["users"] and user.email.endswith("@yingshang.invalid"):
            user.active = False
    db.session.commit()


def _import(app: Any, folder: str, admin: str) -> None:
    from superset import db, security_manager
    from superset.models.dashboard import Dashboard
    from superset.utils.core import override_user

    with override_user(security_manager.find_user(username=admin)):
        _command(app, "import-directory", "-o", folder)
    if not db.session.query(Dashboard).count():
        raise SystemExit(f"the bundle in {folder} was not imported")


def _grant() -> None:
    """All that Superset grants is the way to the warehouse; what is seen there, PostgreSQL decides."""
    from superset import db, security_manager
    from superset.models.core import Database

    reader = security_manager.find_role("Yingshang reader")
    for database in db.session.query(Database):
        permission = security_manager.add_permission_view_menu("database_access", database.perm)
        security_manager.add_permission_role(reader, permission)
    db.session.commit()


if __name__ == "__main__":
    main(sys.argv[1], json.load(sys.stdin))
