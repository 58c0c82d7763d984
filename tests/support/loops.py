"""A server of asyncio beside a test, in a thread of its own."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


class Server(Protocol):
    def close(self) -> None: ...


@contextmanager
def serving_beside(
    start: Callable[[asyncio.Event], Awaitable[tuple[Server, int]]], *, end: Callable[[], None] = lambda: None
) -> Iterator[int]:
    """Gives the port of a server.

    Args:
        start: starts it; given an event that is set when the test is done. Returns the server and its port.
        end: called in the server's thread after it takes no more connections; tasks that are left are cancelled.
    """
    ports: list[int] = []
    ready, done = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        server, port = await start(done)
        ports.append(port)
        ready.set()
        await done.wait()
        server.close()
        end()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    assert ready.wait(10), "the server did not start"
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(10)
        assert not thread.is_alive(), "the server did not end"
