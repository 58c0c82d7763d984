"""The report of a night: one HTML file that says what arrived, what was checked, what was published, what to do."""

from yingshang.report.archive import Written, reports_dir, write_report

__all__ = ["Written", "reports_dir", "write_report"]
