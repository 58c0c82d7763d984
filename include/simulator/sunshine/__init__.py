"""The Three Sunshine Services: what villages disclose, what residents say of it, and problems that are tracked.

Fields are reconstructed; every record is invented. Villages and their codes are real.
"""
