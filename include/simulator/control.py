"""How tests tell a served province to misbehave: ``control.json`` in the state folder, read at each request.

``down``: nodes that refuse. ``faults``: node -> fault -> how many times (0: until it is lifted), and a number of its
own by which the servers count how often it has happened.

API faults: html_page (a page of HTML with status 200), missing_next (a page without its ``next``), wrong_total (one row
too many is promised), server_error (500), rate_limit (429 with Retry-After), token_expired (every token is refused as
expired). File faults, for drops written while they are set: no_manifest, truncated, wrong_hash.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from simulator.books import ProvinceError, read_json, write_atomically

API_FAULTS = ("html_page", "missing_next", "wrong_total", "server_error", "rate_limit", "token_expired")
FILE_FAULTS = ("no_manifest", "truncated", "wrong_hash")


@dataclass(frozen=True)
class Control:
    """What the servers obey. ``serial`` grows with each change and numbers the faults."""

    down: tuple[str, ...] = ()
    faults: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    token_seconds: int = 300
    serial: int = 0


def read_control(root: Path) -> Control:
    content = read_json(root / "control.json")
    return Control(
        down=tuple(content.get("down", ())),
        faults={
            node: {fault: (int(times), int(number)) for fault, (times, number) in faults.items()}
            for node, faults in content.get("faults", {}).items()
        },
        token_seconds=int(content.get("token_seconds", 300)),
        serial=int(content.get("serial", 0)),
    )


def change_control(
    root: Path,
    *,
    down: tuple[str, ...] | None = None,
    faults: dict[str, dict[str, tuple[int, int]]] | None = None,
    token_seconds: int | None = None,
) -> Control:
    """Write a new control file with the given parts replaced."""
    now = read_control(root)
    changed = Control(
        down=now.down if down is None else tuple(sorted(set(down))),
        faults=now.faults if faults is None else faults,
        token_seconds=now.token_seconds if token_seconds is None else token_seconds,
        serial=now.serial + 1,
    )
    write_atomically(root / "control.json", json.dumps(asdict(changed), indent=1))
    return changed


def with_fault(root: Path, node_code: str, fault: str, times: int = 0) -> Control:
    if fault not in (*API_FAULTS, *FILE_FAULTS):
        raise ProvinceError(f"unknown fault {fault!r}: there are {', '.join((*API_FAULTS, *FILE_FAULTS))}")
    control = read_control(root)
    faults = control.faults
    faults.setdefault(node_code, {})[fault] = (times, control.serial + 1)
    return change_control(root, faults=faults)


def without_faults(root: Path, node_code: str) -> Control:
    faults = read_control(root).faults
    faults.pop(node_code, None)
    return change_control(root, faults=faults)
