"""What all connectors share: what is asked of a source, and what it delivers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

from yingshang.errors import SourceInconsistent

if TYPE_CHECKING:
    import pyarrow as pa

SHANGHAI = ZoneInfo("Asia/Shanghai")
CLOCK_FORMAT = "%Y%m%d%H%M%S"

BATCH_ROWS = 10_000
"""Rows of one record batch of a connector that makes its rows one by one, if they are not long."""
BATCH_CHARACTERS = 4 << 20
"""Characters of such a batch, if they are."""
BATCH_BYTES = 4 << 20
"""Bytes of one record batch of a connector that asks for a size."""

MALFORMED = "__malformed__"
"""Column of a text delivery that holds the raw line where a row has not the header's number of fields, else null."""


@dataclass(frozen=True)
class Request:
    """What is asked: these columns of a table, the rows with ``low < cursor <= high`` (14 digits; None: no bound).

    ``with_null_cursor``: rows without a cursor as well, so that they are not lost in silence.
    """

    table: str
    columns: tuple[str, ...]
    primary_key: tuple[str, ...]
    cursor: str
    low: str | None = None
    high: str | None = None
    with_null_cursor: bool = False


@dataclass(frozen=True)
class Delivery:
    """What a source delivers for one request.

    Attributes:
        columns: every column that the source has (national upper-case names) and its type in the source's words.
        count: rows of the request by the source's own count; asking may wait for the source.
        batches: the rows, columns named as in ``columns``; text or native types. It may be read once.
    """

    columns: Mapping[str, str]
    count: Callable[[], int]
    batches: Iterator[pa.RecordBatch]

    @property
    def announced(self) -> int:
        """Rows of the request by the source's own count."""
        return self.count()


class WindowSource(Protocol):
    """A source that is asked for a range of its cursor."""

    @property
    def clock(self) -> str:
        """The source's own clock when the reading began, 14 digits, Asia/Shanghai."""

    def read(self, request: Request) -> AbstractContextManager[Delivery]:
        """Rows of the request. Raises SourceUnavailable, SourceInconsistent, ContractError or CredentialError."""


def clock_plus(clock: str, delta: timedelta) -> str:
    """A 14-digit clock moved by ``delta``. Raises SourceInconsistent when the clock is none."""
    try:
        return (datetime.strptime(clock, CLOCK_FORMAT) + delta).strftime(CLOCK_FORMAT)  # noqa: DTZ007 - local time
    except ValueError as error:
        raise SourceInconsistent(f"the source's clock says {clock[:20]!r}, which is no time yyyyMMddHHmmss") from error


def clock_of(moment: datetime) -> str:
    """A moment as 14 digits in Asia/Shanghai."""
    return moment.astimezone(SHANGHAI).strftime(CLOCK_FORMAT)


def text_batch(names: tuple[str, ...], rows: list[list[str | None]]) -> pa.RecordBatch:
    """A record batch of text columns from rows of equal length. Made by polars: ``pa.array`` would import pandas."""
    import polars as pl

    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    table = frame.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    return table.combine_chunks().to_batches()[0] if rows else table.schema.empty_table().to_batches()[0]
