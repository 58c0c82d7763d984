"""Open data: the published marts as tables, public procurement as Open Contracting releases."""

from yingshang.export.ocds import OCDS_INDUSTRIES, OcdsReport, export_ocds
from yingshang.export.tables import TablesReport, export_tables

__all__ = ["OCDS_INDUSTRIES", "OcdsReport", "TablesReport", "export_ocds", "export_tables"]
