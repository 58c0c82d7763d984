"""Airflow's face of the program: the command line's functions, failing and retrying the Airflow way."""
