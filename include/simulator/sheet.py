"""A minimal XLSX workbook of one sheet, written whole columns at a time.

Cells hold inline strings, as writers in constant memory do; one column may hold numbers. The same content gives the
same bytes.
"""

import io
import zipfile
from collections.abc import Iterable

import polars as pl

_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_OPEN = "http://schemas.openxmlformats.org"
_PARTS = {
    "[Content_Types].xml": f'{_HEAD}<Types xmlns="{_OPEN}/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    '<Override PartName="/xl/workbook.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
    '<Override PartName="/xl/worksheets/sheet1.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>',
    "_rels/.rels": f'{_HEAD}<Relationships xmlns="{_OPEN}/package/2006/relationships"><Relationship Id="rId1" '
    f'Type="{_OPEN}/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/_rels/workbook.xml.rels": f'{_HEAD}<Relationships xmlns="{_OPEN}/package/2006/relationships"><Relationship '
    f'Id="rId1" Type="{_OPEN}/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>'
    "</Relationships>",
}
_FIXED_TIME = (2024, 8, 13, 0, 0, 0)


def workbook(name: str, heading: list[list[str]], frame: pl.DataFrame, numbers: str | None) -> bytes:
    """A workbook whose sheet ``name`` has the ``heading`` rows, then the rows of ``frame`` (text; null: no cell).

    Texts of the column ``numbers`` that are decimal numbers become number cells, others stay text.
    """
    first = len(heading) + 1
    rows = [_heading_row(number, cells) for number, cells in enumerate(heading, start=1)]
    body: Iterable[str] = [] if frame.is_empty() else _body(frame, first, numbers)
    sheet = (
        f'{_HEAD}<worksheet xmlns="{_OPEN}/spreadsheetml/2006/main"><sheetData>'
        + "\n".join([*rows, *body])
        + "</sheetData></worksheet>"
    )
    book = (
        f'{_HEAD}<workbook xmlns="{_OPEN}/spreadsheetml/2006/main" '
        f'xmlns:r="{_OPEN}/officeDocument/2006/relationships"><sheets>'
        f'<sheet name="{name}" sheetId="1" r:id="rId1"/></sheets></workbook>'
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        for path, text in {**_PARTS, "xl/workbook.xml": book, "xl/worksheets/sheet1.xml": sheet}.items():
            archive.writestr(zipfile.ZipInfo(path, _FIXED_TIME), text.encode(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _body(frame: pl.DataFrame, first: int, numbers: str | None) -> pl.Series:
    cells = [_cell(pl.col(name), letters(i), name == numbers) for i, name in enumerate(frame.columns)]
    row = pl.concat_str(pl.lit('<row r="'), "_row", pl.lit('">'), *cells, pl.lit("</row>"))
    return frame.with_row_index("_row", offset=first).select(row).to_series()


def letters(index: int) -> str:
    """0 -> A, 25 -> Z, 26 -> AA."""
    return (letters(index // 26 - 1) if index >= 26 else "") + chr(ord("A") + index % 26)


def escaped(value: pl.Expr) -> pl.Expr:
    """Text as it stands in XML."""
    for raw, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        value = value.str.replace_all(raw, entity, literal=True)
    return value


def _cell(value: pl.Expr, letter: str, may_be_number: bool) -> pl.Expr:
    place = pl.concat_str(pl.lit(f'<c r="{letter}'), pl.col("_row"))
    text = pl.concat_str(place, pl.lit('" t="inlineStr"><is><t>'), escaped(value), pl.lit("</t></is></c>"))
    if may_be_number:
        number = pl.concat_str(place, pl.lit('"><v>'), value, pl.lit("</v></c>"))
        text = pl.when(value.str.contains(r"^\d+(\.\d+)?$")).then(number).otherwise(text)
    return text.fill_null("")


def _heading_row(number: int, cells: list[str]) -> str:
    inside = "".join(
        f'<c r="{letters(i)}{number}" t="inlineStr"><is><t>{text}</t></is></c>' for i, text in enumerate(cells)
    )
    return f'<row r="{number}">{inside}</row>'
