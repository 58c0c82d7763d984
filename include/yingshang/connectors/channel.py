"""Work shared between threads: a bounded queue that either side can break, and reading ahead."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


@contextmanager
def read_ahead(items: Iterator[T], size: int = 1) -> Iterator[Iterator[T]]:
    """The same items, made by a thread of their own that is up to ``size`` ahead. It has ended when the block ends."""
    channel: Channel[T] = Channel(size)

    def run() -> None:
        try:
            for item in items:
                channel.put(item)
            channel.end()
        except BaseException as error:  # noqa: BLE001 - raised where the items are used
            channel.break_with(error)

    thread = threading.Thread(target=run, name="yingshang-read", daemon=True)
    thread.start()
    try:
        yield iter(channel)
    finally:
        channel.break_with(GivenUpError("what was read ahead is not wanted any more"))
        thread.join()


class GivenUpError(Exception):
    """The other side has gone."""


class Channel(Generic[T]):
    """A bounded queue between two threads that either side can break: nobody waits for one who has failed.

    At most ``size`` items wait in it.
    """

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
