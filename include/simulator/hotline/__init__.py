"""The government service hotline 12345: experts and policies at the province, work orders and callbacks at cities.

Fields and flow are reconstructed; every caller, number and sentence is invented.
"""
