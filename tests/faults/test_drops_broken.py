"""Drops that are incomplete, late or sent again: refused and named, or taken in as they are (I1, I2, I6)."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.faults import VICTIM, Scene
from tests.support.faults_nights import County, mended, refused, tonight
from tests.support.faults_table import ROUNDS, Tally
from tests.support.ingest import csv_of

from yingshang.errors import ManifestError

# --- 16 ---------------------------------------------------------------------------------------------------------------


def _truncated(county: County, content: bytes, rows: int) -> None:
    data = county.send(content, rows)
    data.write_bytes(content[: len(content) // 2])


def _no_manifest(county: County, content: bytes, rows: int) -> None:
    data = county.send(content, rows)
    data.with_name(f"{data.stem}.manifest.json").unlink()


def _half_a_manifest(county: County, content: bytes, rows: int) -> None:
    data = county.send(content, rows)
    manifest = data.with_name(f"{data.stem}.manifest.json")
    manifest.write_text(manifest.read_text()[:60])


def _no_file(county: County, content: bytes, rows: int) -> None:
    county.send(content, rows).unlink()


def _still_being_written(county: County, content: bytes, rows: int) -> None:
    """Against the rules the manifest is there first; the file grows by whole lines."""
    data = county.send(content, rows)
    data.write_bytes(content[: content.index(b"\r\n", len(content) // 2) + 2])


BROKEN_FILES: dict[str, tuple[Callable[[County, bytes, int], Any], str]] = {
    "file truncated": (_truncated, "SHA-256 differs"),
    "manifest missing": (_no_manifest, "without its manifest"),
    "manifest broken off": (_half_a_manifest, "is no manifest"),
    "file missing": (_no_file, "is not"),
    "wrong hash": (lambda c, content, n: c.send(content, n, told={"sha256": "0" * 64}), "SHA-256 differs"),
    "wrong count, more": (lambda c, content, n: c.send(content, n + 1), "announces 13 rows, delivered were 12"),
    "wrong count, fewer": (lambda c, content, n: c.send(content, n - 1), "announces 11 rows, delivered were 12"),
    "still being written": (_still_being_written, "SHA-256 differs"),
}


@pytest.mark.fault(16, "drop incomplete")
def test_an_incomplete_drop_is_not_loaded_but_named_and_taken_in_once_it_is_complete(
    scene: Scene, county: County, tally: Tally
) -> None:
    for variant in list(BROKEN_FILES) * ROUNDS:
        spoil, message = BROKEN_FILES[variant]
        with tally.strike(variant) as strike:
            tonight(scene)
            rows = county.new()
            spoil(county, csv_of(rows), len(rows))
            refused(scene, ManifestError, message, f"{scene.night}")
            strike.hit()
            county.deliver(rows)
            mended(scene)
            strike.cost = scene.cost()


# --- 17 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.fault(17, "drop sent again")
def test_a_drop_sent_again_unchanged_is_not_loaded_a_second_time(scene: Scene, county: County, tally: Tally) -> None:
    for _ in range(ROUNDS):
        with tally.strike("unchanged") as strike:
            tonight(scene)
            rows, period = county.new(), f"{scene.night:%Y%m%d}"
            county.deliver(rows)
            mended(scene)
            tonight(scene)
            county.send(csv_of(rows), len(rows), revision=2, period=period)
            strike.hit()
            mended(scene, loaded=False)
            strike.cost = scene.cost()


@pytest.mark.fault(17, "drop sent again")
def test_a_drop_sent_again_with_corrections_supersedes_the_earlier_one(
    scene: Scene, county: County, tally: Tally
) -> None:
    for _ in range(ROUNDS):
        with tally.strike("with corrections") as strike:
            tonight(scene)
            rows, period = county.new(), f"{scene.night:%Y%m%d}"
            county.deliver(rows)
            mended(scene)
            tonight(scene)
            withdrawn, kept = rows[:2], [row | {"BID_SECTION_NAME": "更正"} for row in rows[2:]]
            county.truth.gone(*withdrawn)
            county.truth.now(*kept)
            county.send(csv_of(kept), len(kept), revision=2, period=period)
            strike.hit()
            mended(scene)
            events = scene.ask("select event from ops.batch_event order by seq desc limit 3")
            assert ("superseded",) in events
            profile = scene.ask("select profile from ops.batch where run_id = %s and node_code = %s",
                                scene.run_id, VICTIM)[0][0]  # fmt: skip
            assert profile["rows"] == 10
            strike.cost = scene.cost()


@pytest.mark.fault(17, "drop sent again")
def test_a_drop_of_an_old_night_lands_in_its_night_and_newer_rows_stay(
    scene: Scene, county: County, tally: Tally
) -> None:
    for _ in range(ROUNDS):
        with tally.strike("for an old night") as strike:
            tonight(scene)
            period, late = f"{scene.night:%Y%m%d}", county.new()
            assert scene.ingest() == {}
            scene.publish(without=[VICTIM])
            tonight(scene)
            county.deliver([row | {"DATA_TIMESTAMP": scene.stamp()} for row in late[:4]])
            county.truth.now(*late[4:])
            county.send(csv_of(late), len(late), period=period)
            strike.hit()
            mended(scene)
            found = scene.ask("select drop_period from ops.batch where run_id = %s and node_code = %s order by 1",
                              scene.run_id, VICTIM)  # fmt: skip
            assert found == [(period,), (f"{scene.night:%Y%m%d}",)]
            strike.cost = scene.cost()
