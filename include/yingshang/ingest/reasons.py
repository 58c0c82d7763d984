"""What a reason of the row checks means, in words for whoever sends the rows. Never a value of a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from yingshang.ingest.checks import FUTURE, FUTURE_TOLERANCE

if TYPE_CHECKING:
    from yingshang.contracts import Column, Contract

SHOWN_CODES = 12


@dataclass(frozen=True)
class Reason:
    """``rule``: as the quarantine has it, such as ``allowed:PRICE_UNIT``. ``column``: None when it is about the row."""

    rule: str
    column: str | None
    message: str


def explain_reason(rule: str, contract: Contract, node_code: str) -> Reason:
    """What the contract asks for where a row breaks ``rule``."""
    kind, _, name = rule.partition(":")
    if kind == "row_rule":
        return Reason(rule, None, f"must hold: {name}")
    if kind == FUTURE:
        hours = int(FUTURE_TOLERANCE.total_seconds() // 3600)
        told = f"{_named(contract.column(contract.cursor))}: more than {hours} hours after the source's clock"
        return Reason(rule, contract.cursor, told)
    if kind == "region_not_of_node":
        columns = ", ".join(scope.column for scope in contract.node_scopes)
        return Reason(rule, None, f"{columns}: must be of node {node_code}, and is another's")
    if kind == "malformed_row":
        return Reason(rule, None, "has not as many fields as the header (a comma or quote too many or too few?)")
    try:
        column = contract.column(name)
    except KeyError:
        return Reason(rule, name or None, rule)
    return Reason(rule, name, f"{_named(column)}: {_asked(kind, column)}")


def _named(column: Column) -> str:
    return f"{column.name} ({column.business_name})"


def _asked(kind: str, column: Column) -> str:
    match kind:
        case "required":
            return "must not be empty"
        case "type":
            return "is no whole number" if column.kind == "integer" else "is no amount of at most 6 decimals"
        case "max_length":
            return f"is longer than {column.max_length} characters"
        case "pattern":
            return f"has not the form {column.pattern}"
        case "allowed":
            return f"is none of {_codes(column.allowed or ())}"
        case "minimum":
            return f"is less than {column.minimum}"
        case "maximum":
            return f"is more than {column.maximum}"
        case "time":
            return f"is no date or time of the form {' or '.join(column.time_formats)}"
        case "not_after_clock":
            return "lies in the future, by the source's clock"
        case "unreadable":
            return "has bytes that are none of the file's charset, or a NUL"
        case _:
            return kind.replace("_", " ")


def _codes(codes: tuple[str, ...]) -> str:
    shown = ", ".join(codes[:SHOWN_CODES])
    return shown if len(codes) <= SHOWN_CODES else f"{shown} and {len(codes) - SHOWN_CODES} more"
