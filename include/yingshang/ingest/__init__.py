"""From the sources into raw: open a night, ingest node by node, close the night.

Importing this package is cheap (Airflow forks a process per node): what is heavy is imported where it is used.
"""

from yingshang.ingest.night import (
    NightReport,
    OpenNight,
    QuorumNotMet,
    SystemVerdict,
    close_night,
    open_night,
)
from yingshang.ingest.node import Again, DatasetReport, NodeReport, ingest_node

__all__ = [
    "Again",
    "DatasetReport",
    "NightReport",
    "NodeReport",
    "OpenNight",
    "QuorumNotMet",
    "SystemVerdict",
    "close_night",
    "ingest_node",
    "open_night",
]
