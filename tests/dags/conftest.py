"""Airflow's own settings for parsing DAGs in a test process: a home of its own, no examples."""

import os
import tempfile

os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="yingshang-airflow-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
