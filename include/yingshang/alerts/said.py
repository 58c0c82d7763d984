"""What was said before, so that a message holds news only. A message that no service took was not said."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from yingshang.alerts.findings import findings
from yingshang.alerts.message import Message, News, compose, published_line
from yingshang.alerts.model import Finding, FinishedRun
from yingshang.quality.status import live_publication
from yingshang.warehouse import PgConnection, session

LOCK = 4207009
LOCK_SECONDS = 120.0
Send = Callable[[Message], None]
"""Hands a message over; raises when no service took it."""


@dataclass(frozen=True)
class SaidMessage:
    """A message that a service took."""

    message_id: int
    dag_id: str
    run_id: str
    title: str
    body: str
    said_at: dt.datetime


@dataclass(frozen=True)
class Outlook:
    """What the next message would say, and the last ones that were sent, newest first."""

    news: News
    messages: list[SaidMessage]


def tell(run: FinishedRun, send: Send) -> Message | None:
    """Say what is new, has changed or is over since the last message; nothing when there is no news.

    Two runs that end at once speak one after the other. What is sent is written down afterwards: a kill between the
    two says it once more.

    Returns:
        What was sent, or None.

    Raises:
        CredentialError, WarehouseUnavailable: the warehouse does not answer.
        What ``send`` raises; the next run says it then.
    """
    with session(
        "publish", autocommit=True, application_name="yingshang alerts", lock_timeout=LOCK_SECONDS
    ) as connection:
        connection.execute("select pg_advisory_lock(%s)", (LOCK,))
        news = _news(connection, run)
        if not news.is_any:
            return None
        message = compose(run, news, published_line(live_publication(connection)))
        send(message)
        with connection.transaction():
            _write(connection, run, message, news)
    return message


def outlook(messages: int = 5) -> Outlook:
    """What would be said now, and the last messages.

    Raises:
        CredentialError, WarehouseUnavailable: the warehouse does not answer.
    """
    with session("publish", autocommit=True) as connection:
        rows = connection.execute(
            "select message_id, dag_id, run_id, title, body, said_at from ops.alert_message"
            " order by message_id desc limit %s",
            (messages,),
        ).fetchall()
        return Outlook(_news(connection, None), [SaidMessage(*row) for row in rows])


def _news(connection: PgConnection, run: FinishedRun | None) -> News:
    said = {
        (kind, subject): (state, detail)
        for kind, subject, state, detail in connection.execute(
            "select kind, subject, state, detail from ops.alert where over_message is null"
        ).fetchall()
    }
    found = {(one.kind, one.subject): one for one in findings(connection, run)}
    news = News()
    for key, one in found.items():
        if key not in said:
            news.fresh.append(one)
        elif said[key][0] != one.state:
            news.changed.append(one)
        else:
            news.same.append(one)
    news.over.extend(
        Finding(kind, subject, detail, state) for (kind, subject), (state, detail) in said.items()
        if (kind, subject) not in found
    )  # fmt: skip
    return news


def _write(connection: PgConnection, run: FinishedRun, message: Message, news: News) -> None:
    row = connection.execute(
        "insert into ops.alert_message (dag_id, run_id, title, body) values (%s, %s, %s, %s) returning message_id",
        (run.dag_id, run.run_id, message.title, message.body),
    ).fetchone()
    assert row is not None  # noqa: S101 - insert ... returning
    (number,) = row
    for one in news.fresh:
        # A run that failed is an event: it is over once it is said.
        over = number if one.kind == "run-failed" else None
        connection.execute(
            "insert into ops.alert (kind, subject, state, detail, first_message, last_message, over_message)"
            " values (%s, %s, %s, %s, %s, %s, %s)",
            (one.kind, one.subject, one.state, one.detail, number, number, over),
        )
    for one in news.changed:
        connection.execute(
            "update ops.alert set state = %s, detail = %s, last_message = %s"
            " where kind = %s and subject = %s and over_message is null",
            (one.state, one.detail, number, one.kind, one.subject),
        )
    for one in news.over:
        connection.execute(
            "update ops.alert set over_message = %s where kind = %s and subject = %s and over_message is null",
            (number, one.kind, one.subject),
        )
