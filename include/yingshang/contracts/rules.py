"""From a document that keeps the standard to a :class:`Contract`: the rules of this project.

What the standard allows and this project does not enforce is a problem too: a rule that stands in a contract
and is not checked would be believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, cast

from yingshang.contracts.model import (
    DECIMAL_PRECISION,
    DECIMAL_SCALE,
    FREE_TEXT,
    Column,
    Contract,
    Kind,
    NodeScope,
    RowRule,
)

CONTRACT_PROPERTIES = {
    "cursor", "overlap", "deleteColumn", "deleteValues", "rejectLimit", "rejectFloor", "nodeScope", "sensitivity",
}  # fmt: skip
OPTIONAL_PROPERTIES = {"rowRules"}
COLUMN_PROPERTIES = {
    "pii", "timeFormats", "notAfterClock", "multiValueSeparator", "knownValues", "knownLength", "unit",
}  # fmt: skip
DOCUMENT_KEYS = {
    "apiVersion", "kind", "id", "name", "version", "status", "domain", "description", "team", "schema",
    "slaProperties", "customProperties",
}  # fmt: skip
TABLE_KEYS = {
    "name", "physicalName", "physicalType", "logicalType", "businessName", "description",
    "dataGranularityDescription", "properties",
}  # fmt: skip
COLUMN_KEYS = {
    "name", "businessName", "description", "logicalType", "logicalTypeOptions", "primaryKey", "primaryKeyPosition",
    "required", "classification", "quality", "customProperties",
}  # fmt: skip
KINDS: dict[str, Kind] = {"string": "string", "integer": "integer", "number": "decimal", "timestamp": "time"}
OPTIONS: dict[Kind, set[str]] = {
    "string": {"maxLength", "pattern"},
    "integer": {"minimum", "maximum"},
    "decimal": {"minimum", "maximum"},
    "time": set(),
}
PII_CLASSES = {"person_name", "person_id", "phone", "email", "address", FREE_TEXT}
CLASSIFICATIONS = {"public", "internal", "personal"}
TIME_FORMATS = {"yyyyMMddHHmmss", "yyyyMMdd", "yyyyMM"}
CURSOR_FORMATS = ("yyyyMMddHHmmss",)
NO_SCOPE = "none"
ROW_RULE = re.compile(r"([A-Z][A-Z0-9_]*) (<|<=|=|>=|>) ([A-Z][A-Z0-9_]*)")
LEAST_OVERLAP = timedelta(hours=2)
DECIMAL_LIMIT = 10 ** (DECIMAL_PRECISION - DECIMAL_SCALE)
INTEGER_LIMIT = 2**63

Messages = list[tuple[str, str]]


def contract_of(document: Mapping[str, Any], *, system: str, dataset: str) -> tuple[Contract | None, Messages]:
    """The contract, or None and what stands against it as (path, message)."""
    messages: Messages = []

    def refuse(path: str, message: str) -> None:
        messages.append((path, message))

    for key in sorted(document.keys() - DOCUMENT_KEYS):
        refuse(key, "part of the standard, but this project does not use it")
    name = f"{system}.{dataset}"
    for key, expected in (("id", name), ("name", name), ("domain", system), ("kind", "DataContract")):
        if document.get(key) != expected:
            refuse(key, f"must be {expected!r} (the file's place says so)")
    if document.get("apiVersion") != "v3.1.0":
        refuse("apiVersion", "must be v3.1.0")
    if not re.fullmatch(r"\d+\.\d+\.\d+", str(document.get("version", ""))):
        refuse("version", "must be a semantic version such as 1.0.0")
    team = document.get("team")
    owner = team.get("name") if isinstance(team, dict) else None
    if not owner:
        refuse("team.name", "the owner is missing")
    if not any(sla.get("property") == "frequency" for sla in document.get("slaProperties") or ()):
        refuse("slaProperties", "the cadence (property frequency) is missing")
    tables = document.get("schema") or []
    if len(tables) != 1:
        refuse("schema", f"one table per contract, not {len(tables)}")
        return None, messages
    table = tables[0]
    where = f"schema[{table['name']}]"
    for key in sorted(table.keys() - TABLE_KEYS):
        refuse(f"{where}.{key}", "part of the standard, but this project does not use it")
    for key in ("businessName", "description", "dataGranularityDescription"):
        if not table.get(key):
            refuse(f"{where}.{key}", "missing")
    if not _is_identifier(table["name"]):
        refuse(f"{where}.name", "a table has an upper-case name of at most 63 letters, digits and _")
    if len(f"{name}_") > 60:
        refuse("name", "system and dataset are too long for a table name")
    columns = tuple(_columns(table.get("properties") or [], where, messages))
    properties = _custom(document, "", CONTRACT_PROPERTIES | OPTIONAL_PROPERTIES, messages)
    for key in sorted(CONTRACT_PROPERTIES - properties.keys()):
        refuse(f"customProperties[{key}]", "missing")
    key_columns = _primary_key(table.get("properties") or [], where, messages)
    if messages:
        return None, messages
    contract = Contract(
        system=system,
        dataset=dataset,
        table=table["name"],
        version=str(document["version"]),
        business_name=table["businessName"],
        description=_one_line(table["description"]),
        grain=_one_line(table["dataGranularityDescription"]),
        columns=columns,
        primary_key=key_columns,
        cursor=str(properties["cursor"]),
        overlap=_duration(properties["overlap"]) or timedelta(0),
        delete_column=str(properties["deleteColumn"]),
        delete_values=_strings(properties["deleteValues"]) or (),
        reject_limit=_number(properties["rejectLimit"]),
        reject_floor=int(_number(properties["rejectFloor"])),
        node_scopes=_scopes(properties["nodeScope"]),
        sensitivity=str(properties["sensitivity"]),
        owner=str(owner),
        row_rules=_row_rules(properties.get("rowRules"), messages),
    )
    if not contract.node_scopes and properties["nodeScope"] != NO_SCOPE:
        messages.append(
            (
                "customProperties[nodeScope]",
                "must be {columns: [...], start: 2, length: 6}, or {columns: [...], start: 1, match: within}, or a list"
                " of these, or none where records tell of no node",
            )
        )
    messages += _whole(contract)
    return (None if messages else contract), messages


def _columns(properties: list[dict[str, Any]], where: str, messages: Messages) -> Iterator[Column]:
    seen: set[str] = set()
    for item in properties:
        name = str(item.get("name", ""))
        path = f"{where}.properties[{name}]"
        if name in seen:
            messages.append((path, "the column stands here twice"))
        seen.add(name)
        before = len(messages)
        column = _column(item, path, messages)
        if column is not None and len(messages) == before:
            yield column
    if not properties:
        messages.append((f"{where}.properties", "no columns"))


def _column(item: dict[str, Any], path: str, messages: Messages) -> Column | None:
    def refuse(below: str, message: str) -> None:
        messages.append((f"{path}{below}", message))

    for key in sorted(item.keys() - COLUMN_KEYS):
        refuse(f".{key}", "part of the standard, but this project does not check it: remove it")
    if not _is_identifier(item["name"]):
        refuse("", "a column has an upper-case name of at most 63 letters, digits and _, and does not begin with _")
    for key in ("businessName", "description"):
        if not item.get(key):
            refuse(f".{key}", "missing")
    if item.get("classification") not in CLASSIFICATIONS:
        refuse(".classification", f"must be one of {', '.join(sorted(CLASSIFICATIONS))}")
    kind = KINDS.get(item.get("logicalType", ""))
    if kind is None:
        refuse(".logicalType", f"must be one of {', '.join(KINDS)}")
        return None
    options = item.get("logicalTypeOptions") or {}
    for key in sorted(options.keys() - OPTIONS[kind]):
        refuse(f".logicalTypeOptions.{key}", f"not an option of {item['logicalType']} here")
    custom = _custom(item, path, COLUMN_PROPERTIES, messages)
    formats = _strings(custom.get("timeFormats")) or ()
    if kind == "time" and (not formats or not set(formats) <= TIME_FORMATS):
        refuse(".customProperties[timeFormats]", f"must name some of {', '.join(sorted(TIME_FORMATS))}")
    if kind != "time" and formats:
        refuse(".customProperties[timeFormats]", "only for a timestamp")
    for key in ("multiValueSeparator", "pii", "knownValues"):
        if key in custom and kind != "string":
            refuse(f".customProperties[{key}]", "only for a string")
    pii = custom.get("pii")
    if pii is not None and pii not in PII_CLASSES:
        refuse(".customProperties[pii]", f"must be one of {', '.join(sorted(PII_CLASSES))}")
    if (pii is not None) != (item.get("classification") == "personal"):
        refuse(".classification", "personal columns, and only they, have a class in the custom property pii")
    separator = custom.get("multiValueSeparator")
    if separator is not None and (not isinstance(separator, str) or len(separator) != 1):
        refuse(".customProperties[multiValueSeparator]", "must be one character")
    known = _strings(custom.get("knownValues"))
    if "knownValues" in custom and not known:
        refuse(".customProperties[knownValues]", "must be a list of texts (quote codes)")
    known_length = custom.get("knownLength")
    if known_length is not None and not (known and {len(one) for one in known} == {known_length}):
        refuse(".customProperties[knownLength]", "must be the length of each of knownValues")
    not_after_clock = custom.get("notAfterClock", False)
    if not isinstance(not_after_clock, int) or not_after_clock < 0 or (not_after_clock and kind != "time"):
        refuse(".customProperties[notAfterClock]", "must be true or a tolerance in hours, and is for a timestamp")
    if pii == FREE_TEXT and ("pattern" in options or separator or known or item.get("quality")):
        refuse("", "of a free text only the length is taken along: its content cannot be checked")
    for option in ("minimum", "maximum"):
        _check_bound(kind, option, options.get(option), path, messages)
    pattern = options.get("pattern")
    if pattern is not None:
        _check_pattern(pattern, path, messages)
    if kind == "string" and not isinstance(options.get("maxLength"), int):
        refuse(".logicalTypeOptions.maxLength", "missing: every text has a limit")
    return Column(
        name=item["name"],
        business_name=item.get("businessName", ""),
        description=_one_line(item.get("description", "")),
        kind=kind,
        required=bool(item.get("required", False)),
        max_length=options.get("maxLength"),
        pattern=pattern,
        allowed=_allowed(item, path, messages),
        known=known,
        known_length=known_length,
        minimum=options.get("minimum"),
        maximum=options.get("maximum"),
        time_formats=formats,
        not_after_clock=bool(not_after_clock),
        clock_tolerance=timedelta(hours=0 if not_after_clock is True else int(not_after_clock)),
        multi=separator,
        pii=pii,
        classification=item.get("classification", ""),
        unit=custom.get("unit"),
    )


def _check_bound(kind: Kind, option: str, bound: Any, path: str, messages: Messages) -> None:
    """Numbers are bounded by what raw can hold, so that no COPY fails on a value that passed the checks."""
    where = f"{path}.logicalTypeOptions.{option}"
    limit = {"decimal": DECIMAL_LIMIT, "integer": INTEGER_LIMIT}.get(kind)
    if limit is None:
        return
    if bound is None:
        messages.append((where, f"missing: {SQL_LIMIT[kind]}"))
    elif isinstance(bound, bool) or not isinstance(bound, int | float):
        messages.append((where, "must be a number"))
    elif not -limit < bound < limit:
        messages.append((where, f"does not fit: {SQL_LIMIT[kind]}"))


SQL_LIMIT = {
    "decimal": f"raw holds numeric({DECIMAL_PRECISION},{DECIMAL_SCALE})",
    "integer": "raw holds bigint",
}


def _check_pattern(pattern: Any, path: str, messages: Messages) -> None:
    where = f"{path}.logicalTypeOptions.pattern"
    try:
        re.compile(str(pattern))
    except re.error as error:
        messages.append((where, f"not a regular expression: {error}"))
        return
    if re.search(r"\(\?(?![:PimsxU-])|\(\?P[=>]|\\[1-9]", str(pattern)):
        messages.append((where, "look-around and back references are not possible here"))
    if not (str(pattern).startswith("^") and str(pattern).endswith("$")):
        messages.append((where, "must begin with ^ and end with $: it describes the whole value"))


def _allowed(item: dict[str, Any], path: str, messages: Messages) -> tuple[str, ...] | None:
    found: tuple[str, ...] | None = None
    for rule in item.get("quality") or ():
        expected = {"type": "library", "metric": "invalidValues", "mustBe": 0}
        values = _strings((rule.get("arguments") or {}).get("validValues"))
        others = rule.keys() - {*expected, "arguments"}
        if any(rule.get(k) != v for k, v in expected.items()) or others or set(rule["arguments"]) != {"validValues"}:
            messages.append((f"{path}.quality", "the one rule here is library invalidValues validValues mustBe 0"))
        elif not values:
            messages.append((f"{path}.quality", "validValues must be a list of texts (quote codes)"))
        elif found is not None:
            messages.append((f"{path}.quality", "two lists of valid values"))
        else:
            found = values
    if found and item.get("logicalType") != "string":
        messages.append((f"{path}.quality", "valid values are for strings"))
    return found


def _custom(holder: Mapping[str, Any], path: str, known: set[str], messages: Messages) -> dict[str, Any]:
    found: dict[str, Any] = {}
    prefix = f"{path}." if path else ""
    for item in holder.get("customProperties") or ():
        name = item["property"]
        where = f"{prefix}customProperties[{name}]"
        if name not in known:
            messages.append((where, f"unknown custom property; known are {', '.join(sorted(known))}"))
        elif name in found:
            messages.append((where, "stands here twice"))
        else:
            found[name] = item["value"]
    return found


def _primary_key(properties: list[dict[str, Any]], where: str, messages: Messages) -> tuple[str, ...]:
    keys = [(item.get("primaryKeyPosition"), str(item.get("name"))) for item in properties if item.get("primaryKey")]
    strays = [
        str(item.get("name")) for item in properties if item.get("primaryKeyPosition") and not item.get("primaryKey")
    ]
    for name in strays:
        messages.append((f"{where}.properties[{name}].primaryKeyPosition", "without primaryKey"))
    if not keys:
        messages.append((where, "no primary key"))
    elif sorted(position or 0 for position, _ in keys) != list(range(1, len(keys) + 1)):
        messages.append((where, "primaryKeyPosition must count the key columns from 1"))
        return ()
    return tuple(name for _, name in sorted(keys, key=lambda key: key[0] or 0))


def _whole(contract: Contract) -> Messages:
    """Rules that join columns with the contract's own properties."""
    messages: Messages = []
    here = f"schema[{contract.table}].properties"
    names = set(contract.column_names)

    def named(prop: str, name: str) -> bool:
        if name in names:
            return True
        messages.append((f"customProperties[{prop}]", f"{name!r} is not a column"))
        return False

    for key in contract.primary_key:
        column = contract.column(key)
        is_text = column.kind == "string" or len(column.time_formats) == 1
        if not column.required or not is_text or column.pii or column.multi:
            messages.append(
                (
                    f"{here}[{key}]",
                    "a key column is a required string (or time of one format), not personal or multiple",
                )
            )
    if named("cursor", contract.cursor):
        cursor = contract.column(contract.cursor)
        if not cursor.required or cursor.time_formats != CURSOR_FORMATS:
            messages.append((f"{here}[{cursor.name}]", f"the cursor is required, in {CURSOR_FORMATS[0]} only"))
    if named("deleteColumn", contract.delete_column):
        column = contract.column(contract.delete_column)
        if not column.required or not column.allowed or not set(contract.delete_values) <= set(column.allowed):
            messages.append(
                (f"{here}[{column.name}]", "the delete column is required and its valid values hold deleteValues")
            )
    if not contract.delete_values:
        messages.append(("customProperties[deleteValues]", "must be a list of texts (quote codes)"))
    if contract.overlap < LEAST_OVERLAP:
        messages.append(("customProperties[overlap]", "must be an ISO 8601 duration of at least PT2H"))
    if not 0 <= contract.reject_limit <= 1:
        messages.append(("customProperties[rejectLimit]", "must be a rate from 0 to 1"))
    if contract.reject_floor < 0:
        messages.append(("customProperties[rejectFloor]", "must be a number of rows"))
    if contract.sensitivity not in CLASSIFICATIONS:
        messages.append(("customProperties[sensitivity]", f"must be one of {', '.join(sorted(CLASSIFICATIONS))}"))
    elif any(column.pii for column in contract.columns) and contract.sensitivity != "personal":
        messages.append(("customProperties[sensitivity]", "must be personal: it has personal columns"))
    for scope in contract.node_scopes:
        if named("nodeScope", scope.column):
            column = contract.column(scope.column)
            if column.kind != "string" or not (column.required or column.multi):
                messages.append(
                    (f"{here}[{scope.column}]", "a column of nodeScope is a required string, or holds several codes")
                )
    for rule in contract.row_rules:
        if named("rowRules", rule.left) and named("rowRules", rule.right):
            left, right = contract.column(rule.left), contract.column(rule.right)
            is_number = {left.kind, right.kind} <= {"decimal", "integer"}
            is_time = left.kind == "time" and len(left.time_formats) == 1 and left.time_formats == right.time_formats
            if not is_number and not is_time:
                messages.append(
                    ("customProperties[rowRules]", f"{rule}: only two numbers, or times of one format, are compared")
                )
    for column in contract.columns:
        if column.unit and column.unit.isupper() and column.unit not in names:
            messages.append((f"{here}[{column.name}].customProperties[unit]", f"{column.unit!r} is not a column"))
    return messages


def _scopes(value: Any) -> tuple[NodeScope, ...]:
    """What must be of the node; nothing when ``value`` is not of the form that is asked for."""
    found = [_scope(one) for one in (value if isinstance(value, list) else [value])]
    return tuple(scope for scopes in found for scope in scopes) if all(found) else ()


def _scope(value: Any) -> tuple[NodeScope, ...]:
    if not isinstance(value, dict) or set(value) not in ({"columns", "start", "length"}, {"columns", "start", "match"}):
        return ()
    columns, start, length = _strings(value["columns"]), value["start"], value.get("length")
    if not columns or not isinstance(start, int) or start < 1 or value.get("match", "within") != "within":
        return ()
    if "length" in value and (not isinstance(length, int) or length < 1):
        return ()
    return tuple(NodeScope(column, start, length) for column in columns)


def _row_rules(value: Any, messages: Messages) -> tuple[RowRule, ...]:
    if value is None:
        return ()
    found = [ROW_RULE.fullmatch(text) for text in _strings(value) or ("",)]
    rules = tuple(RowRule(one[1], cast(Any, one[2]), one[3]) for one in found if one)
    if len(rules) < len(found):
        messages.append(("customProperties[rowRules]", "must be a list of texts such as SATISFIED <= PARTICIPANTS"))
    return rules


def _duration(value: Any) -> timedelta | None:
    match = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?", str(value))
    if not match or not any(match.groups()):
        return None
    days, hours, minutes = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes)


def _strings(value: Any) -> tuple[str, ...] | None:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        return None
    return tuple(value)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else -1.0


def _is_identifier(name: Any) -> bool:
    return isinstance(name, str) and re.fullmatch(r"[A-Z][A-Z0-9_]{0,62}", name) is not None


def _one_line(text: str) -> str:
    return " ".join(text.split())
