"""Books without servers: a whole province at scale 0.01 and tiny ones, with nights after their history.

Tests read them only.
"""

from pathlib import Path

import pytest

from simulator.books import Books
from simulator.generate import commit_night, new_province, prepare_night
from simulator.trading.schema import TRADING

NIGHTS = 3


def written(
    root: Path, *, seed: int = 1, scale: float = 0.01, profile: str | None = None, nights: int = NIGHTS
) -> Books:
    """The books of trading of a province that has all systems."""
    new_province(root, seed=seed, scale=scale, profile=profile)
    for _ in range(nights):
        commit_night(root, prepare_night(root))
    return Books(root, TRADING)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Books:
    return written(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Books:
    return written(tmp_path_factory.mktemp("tiny"), profile="tiny")
