"""A demo of its own for the module, with the tiny province."""

from collections.abc import Iterator

import pytest
from tests.support.demo import Demo, running_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as running:
        yield running
