"""The command line ``yingshang``: the functions that Airflow runs, for one person on one machine."""

from yingshang.cli.app import main

__all__ = ["main"]
