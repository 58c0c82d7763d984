"""The simulated province as one object: generate, serve, advance, misbehave, tell the truth."""

import contextlib
import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import polars as pl

from simulator import frontdb, serving
from simulator.books import Books, Meta, ProvinceError, date_of, number_of, read_meta
from simulator.control import change_control, read_control, with_fault, without_faults
from simulator.fleet import Fleet, Node
from simulator.generate import (
    DEFAULT_SCALE,
    add_request,
    all_books,
    commit_night,
    members,
    new_province,
    prepare_night,
)
from simulator.outbox import restore
from simulator.silent import Silence, fall_silent
from simulator.source import Request, stream
from simulator.truth import write_truth

START_SECONDS = 600


class Province:
    """A simulated province whose state is under ``state``.

    Args:
        state: folder of books, drops, truth and secrets; made by :meth:`generate`.
        seed, scale, profile: used when it is generated; ``scale`` 1 has the published sizes, profile ``tiny`` has two
            cities, a few counties of each connector kind and the province.
        has_canaries: used when it is generated; plants invented persons (:mod:`simulator.canaries`).
    """

    def __init__(
        self,
        state: Path,
        *,
        seed: int = 1,
        scale: float = DEFAULT_SCALE,
        profile: Literal["tiny"] | None = None,
        has_canaries: bool = False,
    ) -> None:
        self.state = state
        self._seed, self._scale, self._profile, self._has_canaries = seed, scale, profile, has_canaries
        self._process: subprocess.Popen[str] | None = None

    @property
    def books(self) -> dict[str, Books]:
        """The books of each system by its name."""
        return {books.system.name: books for books in all_books(self.state)}

    @property
    def meta(self) -> Meta:
        return read_meta(self.state)

    @property
    def night(self) -> date:
        """The last night that is over."""
        return self.meta.last_night

    @property
    def nights(self) -> list[date]:
        """All nights so far, the base history's first."""
        return [date_of(number) for number in all_books(self.state)[0].nights()]

    @property
    def fleet(self) -> Fleet:
        return members(self.meta)

    def nodes(self) -> list[Node]:
        return list(self.fleet.nodes)

    @property
    def is_generated(self) -> bool:
        return (self.state / "province.json").is_file()

    def generate(self) -> Self:
        """Write books, drops and truth of the history. Raises ProvinceError when there are some."""
        new_province(
            self.state, seed=self._seed, scale=self._scale, profile=self._profile, has_canaries=self._has_canaries
        )
        return self

    def start(self, ports: serving.Ports | None = None) -> Self:
        """Generate unless done, and serve in a process of its own, which ends with this one.

        Raises:
            ProvinceError: it did not come up, with its own words.
        """
        if not self.is_generated:
            self.generate()
        ports = ports or serving.Ports()
        log = self.state / "serve.log"
        command = [
            sys.executable, "-m", "simulator", "serve", "--state", str(self.state), "--with-parent",
            "--api-port", str(ports.api), "--sftp-port", str(ports.sftp), "--pg-port", str(ports.postgres),
        ]  # fmt: skip
        with log.open("w") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, text=True
            )
        deadline = time.monotonic() + START_SECONDS
        while not (serving.served_by(self.state) == self._process.pid and serving.is_ready(self.state)):
            if self._process.poll() is not None:
                raise ProvinceError(f"the province in {self.state} did not start: {log.read_text().strip()[-2000:]}")
            if time.monotonic() > deadline:
                self.stop()
                raise ProvinceError(f"the province in {self.state} was not ready within {START_SECONDS} s, see {log}")
            time.sleep(0.05)
        return self

    def stop(self) -> None:
        """End the servers; the state stays."""
        serving.stop(self.state)
        if self._process is not None:
            self._process.wait(60)
            self._process = None

    def destroy(self) -> None:
        """End the servers and remove the databases' data, which may lie outside the state folder."""
        self.stop()
        frontdb.cluster(self.state).destroy()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.destroy()

    def advance(self) -> date:
        """Make the next night. While the province is served, databases, API and drops show it at once."""
        with _lock(self.state):
            prepared = prepare_night(self.state)
            server = frontdb.cluster(self.state)
            if server.is_running:
                for books in all_books(self.state):
                    fleet = self.fleet.of_system(books.system)
                    frontdb.apply_night(server.start(), books, fleet, number_of(prepared.night))
            commit_night(self.state, prepared)
        return prepared.night

    def reopen_issue(self, issue_code: str, at: str) -> date:
        """Let a closed issue be reopened ``at`` (yyyyMMddHHmmss): its node says so in the next night.

        Returns that night.

        Raises:
            ProvinceError: there is no such issue, it is not closed, or ``at`` is not after its closing.
        """
        return self._ask("supervision", "reopen_issue", issue_code, at, {})

    def correct_issue(self, issue_code: str, **changes: str) -> date:
        """Let the province correct an issue in the next night. ``changes``: columns of ISSUE.

        Returns that night.

        Raises:
            ProvinceError: there is no such issue, or a column is not one that can be corrected.
        """
        return self._ask("supervision", "correct_issue", issue_code, None, changes)

    def fall_silent(
        self,
        node_code: str,
        dataset: str,
        *,
        system: str = "trading",
        lost: int = 0,
        changed: int = 0,
        deleted: int = 0,
        rekeyed: int = 0,
        vanish: float = 0,
        seed: int = 0,
    ) -> Silence:
        """Change a node's source without a word, at once, and the truth and figures of the last night with it.

        Args:
            lost: rows that come with a cursor of three days ago; changed: rows under their old cursor; deleted: rows
                without a tombstone; rekeyed: keys that become others, with all records of the node that name them.
            vanish: this share of the live rows is deleted as well.

        Raises:
            ProvinceError: the province is not served, the node sends files, or it has too few rows.
        """
        with _lock(self.state):
            server = frontdb.cluster(self.state)
            if not server.is_running:
                raise ProvinceError(f"the province in {self.state} is not served: nothing was changed")
            books = self.books[system]
            fleet = self.fleet.of_system(books.system)
            if node_code not in fleet.by_code:
                raise ProvinceError(f"{node_code} does not run {system}")
            done = fall_silent(
                books,
                server.start(),
                fleet.by_code[node_code],
                dataset,
                stream(self.meta.seed, "silent", node_code, dataset, seed),
                lost=lost,
                changed=changed,
                deleted=deleted,
                rekeyed=rekeyed,
                vanish=vanish,
            )
            write_truth(self.state, self.fleet, self.night)
        return done

    def connections(self) -> dict[str, str]:
        """conn_id -> URI of every node. Raises ProvinceError unless it is served."""
        if serving.served_by(self.state) is None or not serving.is_ready(self.state):
            raise ProvinceError(f"the province in {self.state} is not served: run `python -m simulator serve` first")
        content = json.loads((self.state / "connections.json").read_text(encoding="utf-8"))
        return {str(key): str(value) for key, value in content.items()}

    def truth(self, night: date | None = None) -> pl.DataFrame:
        """system, dataset, node_code, type_code, live_keys, deleted_keys, amount_yuan, held_keys, held_amount_yuan."""
        return self._read_truth(night, "", {"amount_yuan": pl.Decimal(38, 2), "held_amount_yuan": pl.Decimal(38, 2)})

    def reads(self, night: date | None = None) -> pl.DataFrame:
        """What a reader of each node and dataset meets; see :mod:`simulator.truth`."""
        return self._read_truth(night, "_reads", {})

    def bad_rows(self, night: date | None = None) -> pl.DataFrame:
        """system, dataset, node_code, reason, rows: what breaks the contract among the night's deliveries."""
        return self._read_truth(night, "_bad", {})

    def figures(self, night: date | None = None) -> pl.DataFrame:
        """figure, value: the published figures at their cut-offs as the books of ``night`` give them.

        Counts and sums in yuan are whole numbers, rates are in percent with 10 decimals.
        """
        return self._read_truth(night, "_figures", {"value": pl.Decimal(38, 10)})

    def node_down(self, node_code: str) -> None:
        """Make a node refuse every reader until :meth:`node_up`."""
        self._down(node_code, down=True)

    def node_up(self, node_code: str) -> None:
        self._down(node_code, down=False)

    def set_fault(self, node_code: str, fault: str, times: int = 0) -> None:
        """Let an API or file node misbehave; see :mod:`simulator.control`. 0 times: until it is lifted."""
        self._node(node_code)
        with_fault(self.state, node_code, fault, times)

    def clear_faults(self, node_code: str) -> None:
        """Lift a node's faults and put right files in the place of spoilt ones."""
        without_faults(self.state, node_code)
        for fleet in serving.fleets_of(self.state).values():
            if node_code in fleet.by_code:
                restore(self.state, fleet.by_code[node_code].login)

    def set_token_seconds(self, seconds: int) -> None:
        """How long API tokens given from now on are good for."""
        change_control(self.state, token_seconds=seconds)

    def _down(self, node_code: str, *, down: bool) -> None:
        self._node(node_code)
        others = tuple(code for code in read_control(self.state).down if code != node_code)
        change_control(self.state, down=(*others, node_code) if down else others)
        server = frontdb.cluster(self.state)
        if server.is_running:
            asked = [node for fleet in serving.fleets_of(self.state).values() for node in fleet.of("postgres")]
            logins = {node.login: not down for node in asked if node.code == node_code}
            frontdb.set_logins(server.start().superuser_dsn(), logins)

    def _ask(self, system: str, what: str, key: str, at: str | None, changes: dict[str, str]) -> date:
        with _lock(self.state):
            return add_request(self.state, Request(system, what, key, at, changes))

    def _node(self, node_code: str) -> Node:
        node = self.fleet.by_code.get(node_code)
        if node is None:
            raise ProvinceError(f"{node_code} is not a node of this province; it has {', '.join(self.fleet.by_code)}")
        return node

    def _read_truth(self, night: date | None, suffix: str, kinds: dict[str, pl.DataType]) -> pl.DataFrame:
        night = night or self.night
        path = self.state / "truth" / f"{night.isoformat()}{suffix}.csv"
        if not path.is_file():
            known = ", ".join(str(n) for n in self.nights)
            raise ProvinceError(f"there is no night {night} in {self.state}: there are {known}")
        codes = dict.fromkeys(
            ("system", "dataset", "node_code", "type_code", "connector", "reason", "figure"), pl.String
        )
        return pl.read_csv(path, schema_overrides={**codes, **kinds})


@contextlib.contextmanager
def _lock(state: Path) -> Iterator[None]:
    """One advance at a time."""
    with (state / "advance.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ProvinceError(f"another process advances the province in {state}: wait for it") from None
        yield
