"""How to read a source: PostgreSQL, a signed JSON API, or drops of files. No connector knows a business rule.

Each yields Arrow record batches of bounded size, under the national column names, and tells how many rows the source
itself says there are. Heavy imports stay inside the functions: what is not used is not loaded.
"""
