"""A simulated province as the sources of a test's warehouse."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.conftest import Warehouse

from demo.registry import write_registry
from simulator import Province


@contextmanager
def served(province: Province, warehouse: Warehouse) -> Iterator[Province]:
    """Serve it until the end; the warehouse's installation has its connections, and its registry as its own."""
    try:
        province.start()
        warehouse.add_connections(province.connections())
        write_registry(warehouse.state / "registry", province)
        yield province
    finally:
        province.destroy()
