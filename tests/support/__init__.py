"""What several suites share: comparisons with the simulator's books."""
