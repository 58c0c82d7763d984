"""Options that several commands have: read, named and explained in one way."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer
from typer.models import OptionInfo

AsJson = Annotated[bool, typer.Option("--json", help="Write all of it as JSON.")]
Datasets = Annotated[list[str] | None, typer.Option(help="Dataset, such as lot; may be repeated. Without it: all.")]
Nodes = Annotated[list[str] | None, typer.Option(help="6-digit code of a node; may be repeated. Without it: all.")]
System = Annotated[str, typer.Option(help="Source system, such as trading.")]


def date_option(help_text: str, name: str = "--night") -> OptionInfo:
    """An option that takes a business date, for an annotation: ``Annotated[dt.date, date_option("...")]``."""
    option: OptionInfo = typer.Option(name, parser=business_date, metavar="YYYY-MM-DD", help=help_text)
    return option


def business_date(text: str) -> dt.date:
    """The date of a text such as 2024-08-13. Raises typer.BadParameter: wrong use, exit code 2."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a date: write yyyy-mm-dd") from None
