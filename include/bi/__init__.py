"""Business intelligence: Superset beside the warehouse, its dashboards written as code."""
