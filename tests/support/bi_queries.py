"""The sample queries for BI tools (include/bi/sql), each with its title and question."""

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "include" / "bi" / "sql"
_HEAD = re.compile(r"\A-- title: (.+)\n-- title_cn: (.+)\n-- question: (.+)\n(?!--)")


@dataclass(frozen=True)
class Query:
    """``name`` is the file's, without its ending; ``sql`` the whole file."""

    name: str
    title: str
    title_cn: str
    question: str
    sql: str


def bi_queries() -> list[Query]:
    """All of them, in the order of their numbers.

    Raises:
        ValueError: a file does not begin with its title, its Chinese title and its question.
    """
    return [_read(path) for path in sorted(FOLDER.glob("*.sql"))]


def _read(path: Path) -> Query:
    sql = path.read_text(encoding="utf-8")
    head = _HEAD.match(sql)
    if head is None:
        raise ValueError(f"{path.name}: begin it with `-- title:`, `-- title_cn:` and `-- question:`, a line each")
    return Query(path.stem, *head.groups(), sql)
