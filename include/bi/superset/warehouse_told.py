"""Connections of charts to the warehouse that tell a person in a sentence why there is nothing to show.

What PostgreSQL says of a connection or of a view is for its log: a chart shows one of the sentences below in its place.
"""

import re
from collections.abc import Sequence
from typing import Any

import psycopg2
from flask import has_request_context, request
from psycopg2 import errors
from psycopg2.extensions import connection as Connection  # noqa: N812
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from superset.errors import ErrorLevel, SupersetError, SupersetErrorType
from superset.exceptions import SupersetErrorException

NOT_PUBLISHED = (
    "Nothing is published yet 尚未发布: the first night has not ended. Look again when it has; the administrator sees"
    " with `yingshang status` how far it is. 首夜尚未结束，请稍后再看。"
)
UNREACHABLE = (
    "The warehouse does not answer 数据仓库无法连接. Try again in some minutes; if it stays so, tell the administrator"
    " that PostgreSQL is down or can't be reached. 请稍后重试，或联系管理员。"
)
REFUSED = (
    "The warehouse refuses the login {login} 登录被拒绝: its password has expired or was changed, or its access has"
    " ended. Ask the administrator to renew it and to run `make bi`. 口令已过期或已更改，请联系管理员。"
)
DENIED = "{said} 无权查看: your login may not see it. Ask the administrator whether it should. 请联系管理员。"
NO_SUCH_MART = (
    "There is no mart {mart} in what is published: it comes with the next publication, or its name is misspelled."
    " 当前发布中没有该数据集市。"
)
EMPTY = (
    "No rows 无数据: your login sees nothing of {marts} in the publication of night {night}. The dashboard Sources"
    " 数据源 shows which nodes are missing."
)
BROKEN_OFF = (
    "The warehouse broke off the query: it was stopped, or a new publication did not wait for it. Load the page again."
    " 查询被数据仓库中断，请刷新页面。"
)
TOO_LONG = (
    "The query took longer than its time limit. Choose a shorter period or one city. 查询超时，请缩小期间或选择一个市。"
)
_REFUSED = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|role .* does not exist|not permitted to log in"
)
_MISSING = re.compile(r'relation "marts\.(\w+)" does not exist')
_MART = re.compile(r"\bmarts\.(\w+)")
LABELS = {"dim_division"}
"""Marts that only give names to the rows of others."""


class ToldError(SupersetErrorException):
    """A sentence for the person before the chart; Superset shows it as it is, and adds no advice of its own."""

    def __init__(self, sentence: str, status: int = 503, level: ErrorLevel = ErrorLevel.WARNING) -> None:
        extra = {"engine_name": "Warehouse 数据仓库", "show_issue_info": False}
        kind = SupersetErrorType.GENERIC_DB_ENGINE_ERROR
        super().__init__(SupersetError(message=sentence, error_type=kind, level=level, extra=extra), status)


class NothingPublishedError(ToldError):
    """Readers have no marts yet."""

    def __init__(self) -> None:
        super().__init__(NOT_PUBLISHED)


def connect(uri: str, login: str, **options: Any) -> Connection:
    """A connection of psycopg2, whose queries tell as well.

    Args:
        login: what the sentence calls the login.
        options: libpq's, before those of the URI.

    Raises:
        ToldError: it does not answer, or refuses the login.
    """
    try:
        return psycopg2.connect(uri, cursor_factory=TellingCursor, **options)
    except psycopg2.OperationalError as error:
        if _REFUSED.search(str(error)):
            raise ToldError(REFUSED.format(login=login)) from error
        raise ToldError(UNREACHABLE) from error


def publication(connection: Connection) -> tuple[int, str] | None:
    """Number and night of the publication that the marts show; None before the first one.

    Raises:
        psycopg2.Error: the warehouse broke off.
    """
    with Cursor(connection) as cursor:
        try:
            cursor.execute("select publication_id, night::text from marts.publication")
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            connection.rollback()
            return None
        found = cursor.fetchone()
    return (int(found[0]), str(found[1])) if found else None


class TellingCursor(Cursor):
    """A cursor whose errors are sentences, and whose empty answers are looked at twice."""

    def execute(self, query: Any, variables: Any = None) -> None:
        try:
            super().execute(query, variables)
        except (errors.UndefinedTable, errors.InvalidSchemaName) as error:
            self.connection.rollback()
            if publication(self.connection) is None:
                raise NothingPublishedError from error
            if mart := _MISSING.search(str(error)):
                raise ToldError(NO_SUCH_MART.format(mart=mart[1]), 404) from error
            raise
        except errors.InsufficientPrivilege as error:
            raise ToldError(DENIED.format(said=error.diag.message_primary), 403) from error
        except errors.QueryCanceled as error:
            raise ToldError(TOO_LONG) from error
        except psycopg2.OperationalError as error:
            raise ToldError(BROKEN_OFF) from error

    def fetchall(self) -> list[tuple[Any, ...]]:
        rows = super().fetchall()
        if not any(any(row) for row in rows) and _is_chart():
            self._tell_why(_MART.findall(self.query.decode("utf-8", errors="replace")))
        return rows

    def _tell_why(self, marts: Sequence[str]) -> None:
        """Nothing, or zeros only, of no publication or of an empty mart: a chart would show it as a count."""
        wanted = sorted(set(marts) - LABELS)
        if not wanted:
            return
        published = publication(self.connection)
        if published is None:
            raise NothingPublishedError
        with Cursor(self.connection) as cursor:
            empty = []
            for mart in wanted:
                cursor.execute(f"select 1 from marts.{mart} limit 1")  # noqa: S608 - a name of letters, digits and _
                if cursor.fetchone() is None:
                    empty.append(mart)
        if empty:
            raise ToldError(EMPTY.format(marts=", ".join(empty), night=published[1]), 404, ErrorLevel.INFO)


def _is_chart() -> bool:
    """In SQL Lab no rows are an answer like any other."""
    return has_request_context() and request.path.startswith("/api/v1/chart/")
