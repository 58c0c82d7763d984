"""Issues: where, what about, from whom; and the three batches they come in."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from simulator.books import day_of
from simulator.fleet import all_nodes
from simulator.habits import DAY, Ints, time_text
from simulator.source import Context
from simulator.supervision.schema import BATCH, ISSUE
from simulator.trading.world import GIVEN, SURNAMES
from simulator.versions import booked

ISSUED = (day_of(date(2022, 4, 15)), day_of(date(2022, 11, 10)), day_of(date(2024, 2, 20)))
DUE_DAYS = (365, 240, 270)
NAMES = ("第一批营商环境问题", "第二批营商环境问题", "第三批营商环境问题")
ASSIGNING_DAYS = 21
ENVIRONMENTS = ("01", "02", "03", "04", "05", "06", "07", "08")
SHARES = (0.20, 0.08, 0.10, 0.12, 0.08, 0.05, 0.22, 0.15)
SOURCES = ("1", "2", "3", "4")
SOURCE_SHARES = (0.50, 0.25, 0.15, 0.10)
SUBJECTS = (
    "政府承诺未兑现", "涉企案件执行不到位", "重复检查企业", "审批时限超期", "监管标准不一致", "中介服务收费不规范",
    "拖欠企业账款", "窗口服务效率低",
)  # fmt: skip
DEPARTMENTS = (
    "营商环境建设局", "中级人民法院", "司法局", "行政审批局", "市场监督管理局", "发展和改革委员会", "工业和信息化局",
    "政务服务中心",
)  # fmt: skip
CITY_WEIGHTS = {"210100": 2.6, "210200": 2.4, "210300": 1.3}


@dataclass(frozen=True)
class Issues:
    """Issues as arrays. ``assigned``: seconds since 1970, Shanghai's own time; ``batch``: 1, 2 or 3."""

    batch: Ints
    node: Ints
    code: pl.Series
    environment: Ints
    assigned: Ints

    def __len__(self) -> int:
        return len(self.batch)


def new_issues(
    context: Context, rng: np.random.Generator, batch: int, node: Ints, assigned: Ints, first_serial: int
) -> Issues:
    """Issues of one batch, numbered from ``first_serial``."""
    codes = np.array([entry.code for entry in all_nodes()])[node]
    serial = pl.Series(first_serial + np.arange(len(node))).cast(pl.String).str.zfill(6)
    return Issues(
        batch=np.full(len(node), batch),
        node=node,
        code=f"WT{batch:02d}" + pl.Series(codes, dtype=pl.String) + serial,
        environment=rng.choice(len(ENVIRONMENTS), len(node), p=SHARES),
        assigned=assigned,
    )


def nodes_in_charge(context: Context, rng: np.random.Generator, count: int) -> Ints:
    """A node for each of ``count`` issues: each has some if there are enough, large ones have more."""
    members = np.array(context.fleet.indexes)
    weights = np.array([_weight(node.code, node.level) for node in context.fleet.nodes])
    sure = np.tile(members, max(1, min(3, count // (3 * len(members)))))[:count]
    return np.concatenate([sure, rng.choice(members, count - len(sure), p=weights / weights.sum())]).astype(np.int64)


def assigning_times(rng: np.random.Generator, batch: int, count: int) -> Ints:
    """Moments in the first weeks of a batch, in office hours."""
    day = ISSUED[batch - 1] + rng.integers(1, ASSIGNING_DAYS + 1, count)
    return day * DAY + office_hours(rng, count)


def office_hours(rng: np.random.Generator, count: int) -> Ints:
    return rng.integers(8 * 3600 + 1800, 17 * 3600, count)


def issue_rows(rng: np.random.Generator, issues: Issues, night: date) -> pl.DataFrame:
    """Rows of ISSUE, which the province keeps."""
    nodes = all_nodes()
    subject, department = np.array(SUBJECTS)[issues.environment], np.array(DEPARTMENTS)[issues.environment]
    names = np.array([node.name for node in nodes])[issues.node]
    due = (issues.assigned // DAY + np.array(DUE_DAYS)[issues.batch - 1]) * DAY + 17 * 3600
    frame = pl.DataFrame(
        {
            "ISSUE_CODE": issues.code,
            "BATCH_CODE": np.array(["PC01", "PC02", "PC03"])[issues.batch - 1],
            "NODE_CODE": np.array([node.code for node in nodes])[issues.node],
            "ENVIRONMENT_CODE": np.array(ENVIRONMENTS)[issues.environment],
            "SOURCE_CODE": rng.choice(SOURCES, len(issues), p=SOURCE_SHARES),
            "TITLE": np.char.add(names.astype(str), subject.astype(str)),
            "LEAD_DEPT": department,
            "ASSIGN_TIME": time_text(issues.assigned),
            "DUE_TIME": time_text(due),
            "DATA_TIMESTAMP": time_text(issues.assigned + rng.integers(600, 6 * 3600, len(issues))),
        }
    )
    return booked(frame.with_columns(_node=pl.lit(0), _type="ENVIRONMENT_CODE"), ISSUE, night)


def batch_rows(night: date) -> pl.DataFrame:
    """Rows of BATCH."""
    issued = np.array(ISSUED) * DAY + 9 * 3600
    frame = pl.DataFrame(
        {
            "BATCH_CODE": ["PC01", "PC02", "PC03"],
            "BATCH_NO": ["1", "2", "3"],
            "BATCH_NAME": NAMES,
            "ISSUED_TIME": time_text(issued),
            "DUE_TIME": time_text(issued + np.array(DUE_DAYS) * DAY + 8 * 3600),
            "DATA_TIMESTAMP": time_text(issued + 1800),
        }
    )
    return booked(frame.with_columns(_node=pl.lit(0)), BATCH, night)


def handlers(rng: np.random.Generator, count: int) -> pl.Series:
    """Invented names, with 某 in the middle so that nobody takes them for a person's."""
    return pl.Series(np.char.add(np.char.add(rng.choice(list(SURNAMES), count), "某"), rng.choice(list(GIVEN), count)))


def _weight(code: str, level: str) -> float:
    if level == "province":
        return 8.0
    weight = CITY_WEIGHTS.get(code if level == "city" else code[:4] + "00", 0.9)
    return weight * (5.0 if level == "city" else 0.85)
