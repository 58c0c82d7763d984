"""The two gates: what may be admitted into the warehouse, and what may be published from it."""

from yingshang.quality.access import ProbeReport, probe, probe_line
from yingshang.quality.landing import GateReport, Refusal, run_landing_gate
from yingshang.quality.override import Override, override
from yingshang.quality.publication import AuditReport, audit

__all__ = [
    "AuditReport",
    "GateReport",
    "Override",
    "ProbeReport",
    "Refusal",
    "audit",
    "override",
    "probe",
    "probe_line",
    "run_landing_gate",
]
