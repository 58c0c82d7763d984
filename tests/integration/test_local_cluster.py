"""The embedded PostgreSQL: what is left of a cluster whose folder somebody deleted by hand."""

import shutil
from pathlib import Path

import psycopg

from localpg import Cluster


def test_a_cluster_whose_folder_was_deleted_by_hand_makes_room_for_a_new_one(tmp_path: Path) -> None:
    base = tmp_path / "postgres"
    with psycopg.connect(Cluster(base).start().superuser_dsn(), autocommit=True) as first:
        first.execute("create database of_the_first")
    shutil.rmtree(base)
    second = Cluster(base)
    try:
        with psycopg.connect(second.start().superuser_dsn()) as connection:
            row = connection.execute("select count(*) from pg_database where datname = 'of_the_first'").fetchone()
        assert row == (0,)
    finally:
        second.destroy()
