"""File formats of drops: CSV in a declared charset, XLSX, XML envelopes. Each is read as text, row by row, bounded.

A reader yields rows as :class:`TextRow`; where a row cannot be taken apart, its raw text is kept, so that it can be
put into quarantine instead of being lost.
"""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import io
import itertools
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from yingshang.errors import ManifestError, SourceInconsistent

FIELD_LIMIT = 1 << 20
ROW_LIMIT = 4 << 20
"""Characters of one row of a CSV file, however many lines it has: more is no row, and is not held in memory."""
KEEP_BYTES = "yingshang_keep_bytes"
HEADER_ROWS = 10
XLSX_LIMIT = 64 << 20
"""Unpacked bytes of an XLSX (about 80,000 rows): a workbook is read whole, and takes twice as much memory."""
XML_DELETE = "3"


@dataclass
class Position:
    """Where in its file the row that was read last begins: the line of a text, the row of a sheet; from 1."""

    line: int = 0


@dataclass(frozen=True)
class TextTable:
    """Rows as text. A row: values by column, or (None, raw text) when it is malformed.

    ``columns`` are those of the rows (upper case); ``present`` those that the file really has, complete after reading.
    """

    columns: tuple[str, ...]
    rows: Iterator[tuple[list[str | None] | None, str]] = field(repr=False)
    present: dict[str, None]
    position: Position = field(default_factory=Position)


def read_csv(file: IO[bytes], charset: str) -> TextTable:
    """A CSV file with a header of national names.

    A byte that cannot be decoded becomes U+FFFD and its two hex digits: the row checks refuse the row, and quarantine
    still tells what had come.
    """
    try:
        codecs.lookup(charset)
    except LookupError:
        raise ManifestError(f"its manifest declares the charset {charset[:40]!r}, which is none") from None
    csv.field_size_limit(FIELD_LIMIT)
    lines = _Lines(
        io.TextIOWrapper(io.BufferedReader(_Unclosed(file)), encoding=charset, errors=KEEP_BYTES, newline="")
    )
    reader = csv.reader(lines)
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise SourceInconsistent(f"its header is not CSV ({error})") from None
    lines.end_row()
    columns, position = _header(header), Position()

    def rows() -> Iterator[tuple[list[str | None] | None, str]]:
        width, begins = len(columns), reader.line_num + 1
        try:
            for row in reader:
                lines.end_row()
                position.line, begins = begins, reader.line_num + 1
                if len(row) == width:
                    yield [value or None for value in row], ""
                elif row:
                    yield None, ",".join(row)
        except csv.Error as error:
            raise SourceInconsistent(f"line {reader.line_num} is not CSV ({error})") from None

    return TextTable(columns, rows(), dict.fromkeys(columns), position)


def read_xlsx(file: IO[bytes], required: tuple[str, ...]) -> TextTable:
    """The first sheet of a workbook. The header is the row, among the first ten, that holds all ``required`` names."""
    import python_calamine

    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
        if unpacked > XLSX_LIMIT:
            raise ManifestError(
                f"unpacked it is {unpacked >> 20} MB; more than {XLSX_LIMIT >> 20} MB is not read from XLSX: "
                "ask the node to split the drop, or to send CSV"
            )
        file.seek(0)
        sheet = python_calamine.CalamineWorkbook.from_filelike(file).get_sheet_by_index(0)
        lines = sheet.iter_rows()
    except (python_calamine.CalamineError, zipfile.BadZipFile, IndexError) as error:
        raise SourceInconsistent(f"it is not an XLSX workbook ({type(error).__name__})") from None
    header: list[str] | None = None
    position = Position()
    for position.line, line in zip(range(1, HEADER_ROWS + 1), lines, strict=False):
        names = [str(cell).strip().upper() for cell in line]
        if set(required) <= set(names):
            header = names
            break
    if header is None:
        raise SourceInconsistent(f"none of its first {HEADER_ROWS} rows is a header with {', '.join(required)}")
    kept = [index for index, name in enumerate(header) if name]
    columns = _header([header[index] for index in kept])

    def rows() -> Iterator[tuple[list[str | None] | None, str]]:
        for line in lines:
            position.line += 1
            values = [_cell(line[index]) if index < len(line) else None for index in kept]
            if any(value is not None for value in values):
                yield values, ""

    return TextTable(columns, rows(), dict.fromkeys(columns), position)


def read_xml(file: IO[bytes], delete_column: str, delete_value: str, wanted: tuple[str, ...]) -> TextTable:
    """``<DES>`` envelopes: the fields of CONTEXT; DATA_TYPE 3 in TITLE marks the row as deleted. No entities."""
    from lxml import etree

    events = etree.iterparse(
        file, events=("end",), tag="DES", resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False
    )
    present: dict[str, None] = {}

    def envelopes() -> Iterator[tuple[int, dict[str, str | None]]]:
        try:
            for _, element in events:
                context = element.find("CONTEXT")
                row: dict[str, str | None] = {
                    etree.QName(child).localname.upper(): (child.text or "").strip() or None
                    for child in (context if context is not None else ())
                    if isinstance(child.tag, str)
                }
                if (element.findtext("TITLE/DATA_TYPE") or "").strip() == XML_DELETE:
                    row[delete_column] = delete_value
                present.update(dict.fromkeys(row))
                yield element.sourceline or 0, row
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]
        except etree.XMLSyntaxError as error:
            raise SourceInconsistent(f"it is not well-formed XML (line {error.lineno})") from None

    source = envelopes()
    head = list(itertools.islice(source, 100))
    columns, position = tuple(dict.fromkeys((*wanted, *present))), Position()

    def rows() -> Iterator[tuple[list[str | None] | None, str]]:
        for position.line, row in itertools.chain(head, source):
            yield [row.get(name) for name in columns], ""

    return TextTable(columns, rows(), present, position)


def _kept_bytes(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(f"\ufffd{byte:02x}" for byte in error.object[error.start : error.end]), error.end


codecs.register_error(KEEP_BYTES, _kept_bytes)


class _Lines:
    """Lines of a text, read in pieces, so that what never ends is not read to its end."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text, self._taken, self._number = text, 0, 0

    def __iter__(self) -> Iterator[str]:
        while line := self._text.readline(ROW_LIMIT):
            self._taken += len(line)
            self._number += 1
            if self._taken >= ROW_LIMIT:
                raise SourceInconsistent(
                    f"the row at line {self._number} has more than {ROW_LIMIT >> 20} million characters: it is no CSV"
                )
            yield line

    def end_row(self) -> None:
        """A row is complete."""
        self._taken = 0


def _header(names: list[str]) -> tuple[str, ...]:
    columns = tuple(name.strip().lstrip("\ufeff").upper() for name in names)
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise SourceInconsistent(f"its header has {', '.join(twice)} twice")
    return columns


def _cell(value: Any) -> str | None:
    """A cell as text: whole numbers without a point, times as the national formats write them."""
    match value:
        case str():
            return value or None
        case bool():
            return "1" if value else "0"
        case float():
            return f"{value:.15g}"  # the precision that a spreadsheet has
        case dt.datetime():
            return value.strftime("%Y%m%d%H%M%S")
        case dt.date():
            return value.strftime("%Y%m%d")
        case None:
            return None
    return str(value)


class _Unclosed(io.RawIOBase):
    """A file that its reader does not close."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
