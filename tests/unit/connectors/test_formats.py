"""File formats of drops, the way counties send them, and broken."""

import datetime as dt
import io
from typing import Any

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from yingshang.connectors.formats import ROW_LIMIT, read_csv, read_xlsx, read_xml
from yingshang.errors import ManifestError, SourceInconsistent

Row = list[str | None]


def csv_rows(content: bytes, charset: str = "gb18030") -> tuple[tuple[str, ...], list[tuple[Row | None, str]]]:
    table = read_csv(io.BytesIO(content), charset)
    return table.columns, list(table.rows)


def test_csv_in_gb18030() -> None:
    content = 'A,B\r\n"一,""二""",\r\n𠮷,3\r\n'.encode("gb18030")
    assert csv_rows(content) == (("A", "B"), [(['一,"二"', None], ""), (["𠮷", "3"], "")])


def test_a_line_with_too_few_or_too_many_fields_is_kept_as_it_is() -> None:
    assert csv_rows(b"A,B\r\n1\r\n1,2\r\n1,2,3\r\n\r\n")[1] == [(None, "1"), (["1", "2"], ""), (None, "1,2,3")]


def test_undecodable_bytes_spoil_their_own_row_only() -> None:
    rows = csv_rows(b"A,B\r\n" + "好,".encode("gb18030") + b"\xff\xb0,\r\n" + b"1,2\r\n")[1]
    assert rows[-1] == (["1", "2"], "")
    assert "\ufffd" in str(rows[0])


def test_many_rows_may_be_longer_together_than_one_may_be() -> None:
    long = "x" * 9_000
    content = b"A,B\r\n" + f"{long},{long}\r\n".encode() * 600
    assert len(content) > 2 * ROW_LIMIT
    assert len(csv_rows(content, "utf-8")[1]) == 600


def test_a_row_that_never_ends_is_no_row() -> None:
    line = b"x," * ROW_LIMIT
    with pytest.raises(SourceInconsistent, match="more than 4 million characters"):
        csv_rows(b"A,B\r\n1,2\r\n" + line, "utf-8")


def test_an_unknown_charset_is_named() -> None:
    with pytest.raises(ManifestError, match="charset 'klingon'"):
        read_csv(io.BytesIO(b""), "klingon")


def test_a_column_that_stands_twice_in_the_header_is_an_error() -> None:
    with pytest.raises(SourceInconsistent, match="A twice"):
        read_csv(io.BytesIO(b"A,B,A\r\n"), "utf-8")


def test_a_byte_order_mark_is_no_part_of_the_header() -> None:
    assert csv_rows("A,B\r\n1,2\r\n".encode("utf-8-sig"), "utf-8")[0] == ("A", "B")


def test_an_empty_file_has_no_rows() -> None:
    assert csv_rows(b"") == ((), [])


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_whatsoever_lose_a_line_in_silence(content: bytes) -> None:
    try:
        _, rows = csv_rows(b"A,B\r\n" + content)
    except SourceInconsistent:
        return
    assert all(values is None or len(values) == 2 for values, _ in rows)


def workbook(rows: list[list[Any]]) -> io.BytesIO:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"default_date_format": "yyyy-mm-dd"}) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    file.seek(0)
    return file


def test_xlsx_finds_its_header_below_titles() -> None:
    file = workbook(
        [
            ["标段信息报送表（单位：万元）"],
            ["编号", "金额", "时间", ""],
            ["CODE", "price", "TIME", ""],
            ["E1", 12.34, dt.datetime(2024, 8, 13, 9, 30)],  # noqa: DTZ001 - a cell has no zone
            ["", "", ""],
            ["E2", 1250000, "20240813"],
            ["E3", 0.1 + 0.2, True],
        ]
    )
    table = read_xlsx(file, ("CODE", "TIME"))
    assert table.columns == ("CODE", "PRICE", "TIME")
    assert [values for values, _ in table.rows] == [
        ["E1", "12.34", "20240813093000"],
        ["E2", "1250000", "20240813"],
        ["E3", "0.3", "1"],
    ]


def test_a_workbook_without_header_is_an_error() -> None:
    with pytest.raises(SourceInconsistent, match="none of its first 10 rows is a header with CODE"):
        read_xlsx(workbook([["a"], ["b"]]), ("CODE",))


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04broken"])
def test_what_is_no_workbook_is_an_error(content: bytes) -> None:
    with pytest.raises(SourceInconsistent, match="not an XLSX workbook"):
        read_xlsx(io.BytesIO(content), ("CODE",))


def test_a_workbook_that_would_not_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yingshang.connectors.formats.XLSX_LIMIT", 1000)
    with pytest.raises(ManifestError, match="ask the node to split the drop"):
        read_xlsx(workbook([["CODE"], *([f"E{n}"] for n in range(500))]), ("CODE",))


def envelope(*contexts: str, kind: str = "1") -> str:
    title = f"<TITLE><DATA_NO>1</DATA_NO><DATA_TYPE>{kind}</DATA_TYPE></TITLE>"
    return "".join(f"<DES>{title}<CONTEXT>{context}</CONTEXT></DES>" for context in contexts)


def xml_rows(body: str, head: str = "") -> tuple[list[dict[str, str | None]], list[str]]:
    content = f'<?xml version="1.0" encoding="UTF-8"?>{head}<PACKAGE>{body}</PACKAGE>'.encode()
    table = read_xml(io.BytesIO(content), "IS_DELETE", "1", ("CODE", "NAME", "IS_DELETE"))
    rows = [dict(zip(table.columns, values, strict=True)) for values, _ in table.rows if values is not None]
    return rows, list(table.present)


def test_xml_envelopes() -> None:
    rows, present = xml_rows(envelope("<CODE>1</CODE><NAME>甲</NAME><IS_DELETE>0</IS_DELETE>", "<CODE>2</CODE><X/>"))
    assert rows == [
        {"CODE": "1", "NAME": "甲", "IS_DELETE": "0", "X": None},
        {"CODE": "2", "NAME": None, "IS_DELETE": None, "X": None},
    ]
    assert present == ["CODE", "NAME", "IS_DELETE", "X"]


def test_data_type_3_deletes_whatever_the_context_says() -> None:
    rows, _ = xml_rows(envelope("<CODE>1</CODE><IS_DELETE>0</IS_DELETE>", kind="3"))
    assert rows[0]["IS_DELETE"] == "1"


def test_a_field_that_first_stands_in_a_late_row_is_read() -> None:
    contexts = [*(f"<CODE>{n}</CODE>" for n in range(150)), "<CODE>x</CODE><NAME>甲</NAME>"]
    rows, present = xml_rows(envelope(*contexts))
    assert len(rows) == 151
    assert rows[-1]["NAME"] == "甲"
    assert "NAME" in present


def test_no_entity_is_resolved(tmp_path: Any) -> None:
    secret = tmp_path / "secret"
    secret.write_text("password")
    head = f'<!DOCTYPE PACKAGE [<!ENTITY x SYSTEM "file://{secret}"><!ENTITY y "expanded">]>'
    try:
        rows, _ = xml_rows(envelope("<CODE>a&x;</CODE><NAME>b&y;</NAME>"), head)
    except SourceInconsistent:
        return
    assert "password" not in str(rows)
    assert "expanded" not in str(rows)


def test_xml_that_breaks_off_is_an_error() -> None:
    with pytest.raises(SourceInconsistent, match="not well-formed XML"):
        xml_rows("<DES><CONTEXT>")
