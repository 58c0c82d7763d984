"""Yingshang: the data warehouse of Liaoning Province's business environment."""
