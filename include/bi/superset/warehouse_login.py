"""Which login of the warehouse a Superset user has: that of the one role `warehouse_<role>` the user holds.

It runs in Superset's own environment, where the package `yingshang` is not installed. `make bi` puts the readers'
logins, and no other connection, into a file readable by the owner only; it is read anew each time.
"""

import json
import os
from pathlib import Path
from typing import Any

from flask import g, has_app_context
from warehouse_told import Connection, ToldError, connect

PREFIX = "warehouse_bi_"


class NoLoginError(ToldError):
    """The user can't be connected; the message says what to do."""


def role_of_the_user() -> str:
    """The conn id (`warehouse_<role>`) of the user of this request.

    Raises:
        NoLoginError: nobody is logged in, or the user has no such role, or several.
    """
    user = getattr(g, "user", None) if has_app_context() else None
    if user is None or getattr(user, "is_anonymous", True):
        raise NoLoginError("Nobody is logged in: the warehouse is not asked. 未登录，不查询数据仓库。")
    found = sorted(role.name for role in user.roles if role.name.startswith(PREFIX))
    if len(found) != 1:
        raise NoLoginError(
            f"The user {user.username} has {len(found) or 'no'} roles {PREFIX}*, and needs exactly one: it is the login"
            f" in PostgreSQL. Ask the administrator. 用户 {user.username} 须有且只有一个仓库角色，请联系管理员。"
        )
    return str(found[0])


def uri_of(conn_id: str) -> str:
    """The connection's URI.

    Raises:
        NoLoginError: there is none of this name.
    """
    path = Path(os.environ["YINGSHANG_BI_STATE"]) / "logins.json"
    known = json.loads(path.read_text(encoding="utf-8"))
    if conn_id not in known:
        raise NoLoginError(
            f"The warehouse has no login {conn_id} any more: its row in the access registry has expired or is gone."
            f" 访问登记中 {conn_id} 已失效。"
        )
    return str(known[conn_id])


def login(conn_id: str, **options: Any) -> Connection:
    """A connection as the role. ``options``: libpq's.

    Raises:
        ToldError: it has none (NoLoginError), or the warehouse does not answer or refuses it.
    """
    return connect(uri_of(conn_id), conn_id.replace("warehouse_", "yingshang_", 1), **options)
