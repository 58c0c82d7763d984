"""Codes and keys of trading records, for tests of the models."""

from collections.abc import Mapping

KEYS: Mapping[str, tuple[str, ...]] = {
    "trading.project": ("tender_project_code",),
    "trading.lot": ("bid_section_code",),
    "trading.notice": ("url",),
    "trading.bid": ("bid_section_code", "bidder_org_code"),
    "trading.result": ("bid_section_code", "win_bidder_code"),
    "trading.contract": ("bid_section_code", "bidder_code"),
    "trading.performance": ("bid_section_code",),
}


def project_code(node: str, number: int) -> str:
    """Tender project: letter + 6-digit region + 13."""
    return f"E{node}{number:013d}"


def lot_code(project: str, number: int) -> str:
    """Lot: its tender project + 3."""
    return f"{project}{number:03d}"


def deal_code(source_type: str, day: str, number: int) -> str:
    """Unified deal code; its check character is not looked at by the models."""
    return f"{source_type}-91210100MA0ABCDE1X-{day}-{number:06d}-X"
