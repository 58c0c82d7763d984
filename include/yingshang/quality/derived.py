"""The part of a landing suite that follows from the contract. It is never written by hand."""

from typing import Any

from yingshang.contracts import Column, Contract
from yingshang.quality.marks import expectations_module, stop, warn

UNKNOWN_CODES_LIMIT = 0.02
"""Share of a batch's rows with a code of no known meaning above which a person should look."""


def null_share(column: Column) -> str:
    """Name of the profile column with the share of rows without a value."""
    return f"null_share_{column.raw_name}"


def unknown_share(column: Column) -> str:
    """Name of the profile column with the share of rows whose code is not in the contract's list."""
    return f"unknown_share_{column.raw_name}"


def code_list(column: Column) -> tuple[str, ...] | None:
    """The codes of a column, enforced (``allowed``) or merely known."""
    return column.allowed or column.known


def derived_expectations(contract: Contract) -> list[Any]:
    """What the contract says of any batch of its dataset, as expectations on the table of batch profiles."""
    gxe = expectations_module()
    between = gxe.ExpectColumnValuesToBeBetween
    expectations: list[Any] = []
    for column in contract.columns:
        if column.required:
            reason = f"the contract requires {column.name}; the row checks let none through without it"
            expectations.append(between(column=null_share(column), max_value=0, **stop(reason)))
        if column.allowed:
            reason = f"the contract lists the codes of {column.name}; the row checks let no other through"
            expectations.append(between(column=unknown_share(column), max_value=0, **stop(reason)))
        elif column.known:
            reason = f"more than {UNKNOWN_CODES_LIMIT:.0%} of the codes of {column.name} have no known meaning"
            expectations.append(between(column=unknown_share(column), max_value=UNKNOWN_CODES_LIMIT, **warn(reason)))
    expectations.append(
        between(
            column="reject_share_past_floor",
            max_value=contract.reject_limit,
            **stop(f"the contract tolerates {contract.reject_limit:.1%} rejected rows"),
        )
    )
    expectations.append(
        between(
            column="reject_share_past_floor",
            max_value=contract.reject_limit / 2,
            **warn(f"half of the contract's reject limit of {contract.reject_limit:.1%} is used up"),
        )
    )
    return expectations
