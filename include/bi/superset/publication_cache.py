"""The cache of charts' data: what one role was shown of one publication is shown to that role, of that publication."""

from __future__ import annotations

import logging
from contextlib import closing
from typing import Any

import psycopg2
from flask import Flask, g
from flask_caching.backends.base import BaseCache
from flask_caching.backends.filesystemcache import FileSystemCache
from warehouse_login import login, role_of_the_user
from warehouse_told import ToldError, publication

MEMO = "yingshang_cache_scope"
logger = logging.getLogger(__name__)


class PublicationCache(BaseCache):
    """A cache in files, each key of which begins with the user's role and the publication.

    The publication is asked for once in a request, before its query runs: rows may be newer than their key, never
    older. Without a role or an answer nothing is read and nothing is kept.
    """

    def __init__(self, store: FileSystemCache) -> None:
        super().__init__(store.default_timeout)
        self._store = store

    @classmethod
    def factory(cls, app: Flask, config: dict[str, Any], args: list[Any], kwargs: dict[str, Any]) -> PublicationCache:
        """What Flask-Caching calls."""
        return cls(
            FileSystemCache(
                config["CACHE_DIR"],
                threshold=config["CACHE_THRESHOLD"],
                default_timeout=config["CACHE_DEFAULT_TIMEOUT"],
            )
        )

    def get(self, key: str) -> Any:
        scope = _scope()
        return self._store.get(scope + key) if scope else None

    def set(self, key: str, value: Any, timeout: int | None = None) -> bool | None:
        scope = _scope()
        return self._store.set(scope + key, value, timeout) if scope else False

    def add(self, key: str, value: Any, timeout: int | None = None) -> bool:
        scope = _scope()
        return bool(self._store.add(scope + key, value, timeout)) if scope else False

    def delete(self, key: str) -> bool:
        scope = _scope()
        return bool(self._store.delete(scope + key)) if scope else False

    def has(self, key: str) -> bool:
        scope = _scope()
        return bool(self._store.has(scope + key)) if scope else False

    def clear(self) -> bool:
        return bool(self._store.clear())


def _scope() -> str:
    """`role:publication:`, or nothing where one of them is not known."""
    known: str | None = g.get(MEMO)
    if known is None:
        known = _ask()
        setattr(g, MEMO, known)
    return known


def _ask() -> str:
    try:
        role = role_of_the_user()
        with closing(login(role, connect_timeout=5, application_name="superset cache")) as connection:
            published = publication(connection)
    except (ToldError, psycopg2.Error) as error:
        logger.warning("not cached: %s", type(error).__name__)
        return ""
    return f"{role}:{published[0]}:" if published else ""
