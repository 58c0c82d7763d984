"""What dbt says, without the rows that it quotes.

PostgreSQL names the value that it could not cast, and the key that stands there twice. Raw has no direct identifier of
a person in clear, but its free fields (a title, a department's name) have what their source wrote into them. So neither
the task's log, nor dbt's own file, nor the ledger takes such a message as it is.
"""

import logging
import logging.handlers
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FILE_BYTES = 10_000_000
KEPT_FILES = 5
HIDDEN = '"…"'

DATABASE_SAID = re.compile(r"(?:Database|Postgres) error", re.IGNORECASE)
DETAILS = re.compile(r"\s+(?:DETAIL|CONTEXT|HINT|QUERY|WHERE|LINE \d+):\s.*", re.DOTALL)
"""After these words PostgreSQL quotes rows and statements."""
COMPILED = re.compile(r"\s*compiled code at \S+\s*$")
NAMED = re.compile(
    r"\b(?:column|constraint|database|extension|function|index|operator|parameter|relation|role|schema|sequence|table"
    r"|trigger|user|view) $"
)
"""What PostgreSQL quotes after these words is a name; elsewhere it may be a value."""


def without_values(message: str) -> str:
    """The message; of what a database said without values of rows. Names of columns, tables and constraints stay."""
    if not DATABASE_SAID.search(message):
        return message
    place = COMPILED.search(message)
    said = DETAILS.sub("", COMPILED.sub("", message))
    return _without_quoted_values(said) + (place.group(0) if place else "")


def _without_quoted_values(said: str) -> str:
    start = 0
    while (first := said.find('"', start)) >= 0:
        end = said.find('"', first + 1)
        if end < 0 or not NAMED.search(said, 0, first):
            last = max(said.rfind('"'), first)  # a value may have quotes in it
            return said[:first] + HIDDEN + (said[last + 1 :] if last > first else "")
        start = end + 1
    return said


@contextmanager
def dbt_log(folder: Path) -> Iterator[Callable[[Any], None]]:
    """Where dbt's events go instead of its own file: a callback that writes them to ``dbt.log`` without values."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(
        folder / "dbt.log", maxBytes=FILE_BYTES, backupCount=KEPT_FILES, encoding="utf-8"
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))

    def write(event: Any) -> None:
        said = f"{event.info.level:<5} {without_values(event.info.msg)}"
        handler.handle(logging.LogRecord("dbt", logging.INFO, "", 0, said, None, None))

    try:
        yield write
    finally:
        handler.close()
