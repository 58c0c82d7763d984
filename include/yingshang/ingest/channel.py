"""A bounded queue between two threads that either side can break, so that nobody waits for one who has failed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Channel(Generic[T]):
    """At most ``size`` items wait in it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._has_ended = False
        self._error: BaseException | None = None

    def put(self, item: T) -> None:
        """Hand on an item; waits for room. Raises what the channel was broken with."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._size or self._error is not None)
            if self._error is not None:
                raise self._error
            self._items.append(item)
            self._changed.notify_all()

    def end(self) -> None:
        """No more items will come."""
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def break_with(self, error: BaseException) -> None:
        """Let both sides raise ``error`` from now on (the first one, if it is broken already)."""
        with self._changed:
            self._error = self._error or error
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Items until the end. Raises what the channel was broken with."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._has_ended or self._error is not None)
                if self._error is not None:
                    raise self._error
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
            del item
