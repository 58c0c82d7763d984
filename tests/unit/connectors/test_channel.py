"""A channel between threads never lets one wait for another who has failed."""

import threading
from collections.abc import Callable, Iterator

import pytest

from yingshang.connectors.channel import Channel, read_ahead


def in_thread(step: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=step, daemon=True)
    thread.start()
    return thread


def test_items_arrive_in_order_and_the_end_is_seen() -> None:
    channel: Channel[int] = Channel(2)
    most: list[int] = []

    def produce() -> None:
        for number in range(100):
            channel.put(number)
            most.append(len(channel._items))
        channel.end()

    producer = in_thread(produce)
    assert list(channel) == list(range(100))
    producer.join(5)
    assert max(most) <= 2


@pytest.mark.timeout(10)
def test_a_producer_that_waits_for_room_learns_that_the_consumer_failed() -> None:
    channel: Channel[int] = Channel(1)
    channel.put(1)
    threading.Timer(0.1, channel.break_with, (ValueError("consumer"),)).start()
    with pytest.raises(ValueError, match="consumer"):
        channel.put(2)


@pytest.mark.timeout(10)
def test_a_consumer_that_waits_for_items_learns_that_the_producer_failed() -> None:
    channel: Channel[int] = Channel(1)
    threading.Timer(0.1, channel.break_with, (ValueError("producer"),)).start()
    with pytest.raises(ValueError, match="producer"):
        list(channel)


def test_the_first_error_counts() -> None:
    channel: Channel[int] = Channel(1)
    channel.break_with(ValueError("first"))
    channel.break_with(ValueError("second"))
    with pytest.raises(ValueError, match="first"):
        channel.put(1)


def test_reading_ahead_gives_the_same_items() -> None:
    with read_ahead(iter(range(50))) as items:
        assert list(items) == list(range(50))


def test_an_error_of_what_is_read_ahead_is_raised_where_it_is_used() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("source")

    with pytest.raises(ValueError, match="source"), read_ahead(items()) as ahead:
        list(ahead)


@pytest.mark.timeout(10)
def test_what_is_read_ahead_ends_with_the_block_that_wanted_it() -> None:
    made: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            made.append(len(made))
            yield made[-1]

    with read_ahead(endless()) as ahead:
        assert next(ahead) == 0
    after = len(made)
    assert after <= 4
    assert len(made) == after
