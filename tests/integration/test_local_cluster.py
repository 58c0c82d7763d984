"""The embedded PostgreSQL: what is left of a cluster whose folder somebody deleted by hand."""

import os
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


def test_another_process_with_the_number_of_a_dead_postmaster_is_not_taken_for_it(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "postgres").start()
    try:
        assert cluster.is_running
        cluster.stop("immediate")
        (cluster.data / "postmaster.pid").write_text(f"{os.getpid()}\n")
        assert not cluster.is_running
    finally:
        cluster.destroy()
