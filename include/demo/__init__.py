"""The one-machine installation: embedded PostgreSQL, the simulated province and Airflow, all on loopback."""
