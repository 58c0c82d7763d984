"""Who takes part in the trades: invented organisations and persons, and what each node trades.

Everything is a function of (seed, scale). All names, codes and numbers are synthetic; identity numbers have valid
check characters and belong to nobody.
"""

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import polars as pl

from simulator.codes import with_organisation_check, with_resident_check, with_uscc_check
from simulator.fleet import all_nodes, read_csv

TENDERERS_PER_NODE = 12
RURAL_TENDERERS = 2
AGENCIES = 60
COAST = ("2102", "2106", "2107", "2108", "2111", "2114")
INDUSTRY_SHARE = {
    "01": 0.30, "02": 0.35, "03": 0.06, "04": 0.02, "05": 0.08,
    "06": 0.09, "07": 0.03, "08": 0.02, "09": 0.015, "10": 0.035,
}  # fmt: skip
CITY_WEIGHT = {"210100": 2.6, "210200": 2.4, "210300": 1.3}
DEPARTMENTS = {
    "01": "住房和城乡建设局", "02": "财政局", "03": "自然资源局", "04": "自然资源局", "05": "国有资产监督管理局",
    "06": "农业农村局", "07": "林业和草原局", "08": "海洋与水务局", "09": "生态环境局", "10": "医疗保障局",
}  # fmt: skip
FIRST = "辽沈连鞍抚丹锦营阜盘铁朝葫渤松岭海河北东华宏盛瑞恒泰安信诚德𠮷"
SECOND = "达远航通源丰隆兴旺祥和顺建业鼎立科创维新"
SECTORS = (
    "建筑工程", "市政工程", "路桥建设", "水利工程", "能源科技", "机电设备", "医疗器械", "医药", "信息技术", "物业服务",
    "环境科技", "农业发展", "林业", "矿业", "咨询服务", "办公设备", "园林绿化", "海洋工程", "资产管理", "置业",
)  # fmt: skip
FORMS = ("有限公司", "股份有限公司", "有限责任公司", "集团有限公司")
SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂英华玉兰鹏辉建国志"


@dataclass(frozen=True)
class World:
    """Constant pools; ``*_code`` are 18-character unified social credit codes.

    Attributes:
        node_code, platform: per node index (115).
        type_code, national_class, type_name, source_code: per transaction type (38).
        type_cdf: 115 × 38, cumulated shares of what each node trades.
        tenderer_*: 12 per node, at ``node * 12 + k``, the last two rural collectives.
        counties: per node index, the 6-digit divisions where its deals may take place.
    """

    seed: int
    node_code: npt.NDArray[np.str_]
    node_name: npt.NDArray[np.str_]
    platform: npt.NDArray[np.str_]
    type_code: npt.NDArray[np.str_]
    type_name: npt.NDArray[np.str_]
    national_class: npt.NDArray[np.str_]
    industry: npt.NDArray[np.str_]
    source_code: npt.NDArray[np.str_]
    node_weight: npt.NDArray[np.float64]
    type_cdf: npt.NDArray[np.float64]
    tenderer_name: pl.Series
    tenderer_code: pl.Series
    agency_name: pl.Series
    agency_code: pl.Series
    bidder_name: pl.Series
    bidder_code: pl.Series
    bidder_region: pl.Series
    person_name: pl.Series
    person_id: pl.Series
    regions: tuple[tuple[str, ...], ...]

    def rng(self, *name: object) -> np.random.Generator:
        """A random stream of its own for each use, so that one use does not shift another."""
        return stream(self.seed, *name)


def stream(seed: int, *name: object) -> np.random.Generator:
    return np.random.default_rng([seed, *(zlib.crc32(str(part).encode()) for part in name)])


@lru_cache(maxsize=4)
def world(seed: int, scale: float) -> World:
    """The pools of a province of this seed and scale."""
    nodes = all_nodes()
    types = read_csv("transaction_types.csv")
    codes = np.array([node.code for node in nodes])
    industry = np.array([row["industry_code"] for row in types])
    type_code = np.array([row["type_code"] for row in types])
    bidders = int(np.clip(20_000 * scale, 400, 60_000))
    persons = int(np.clip(12_000 * scale, 300, 40_000))
    bidder_region = _bidder_regions(stream(seed, "bidder regions"), bidders)
    region_names = {node.code: node.name for node in nodes} | {
        row["code"]: row["name"] for row in read_csv("provinces.csv")
    }
    tenderer_name, tenderer_code = _tenderers(stream(seed, "tenderers"))
    return World(
        seed=seed,
        node_code=codes,
        node_name=np.array([node.name for node in nodes]),
        platform=_companies(stream(seed, "platforms"), np.char.add("12", codes), numbers_only=True)
        .to_numpy()
        .astype(str),
        type_code=type_code,
        type_name=np.array([row["type_cn"] for row in types]),
        national_class=np.array([row["national_class"] for row in types]),
        industry=industry,
        source_code=np.array([chr(ord("A") + int(code[:2]) - 1) + code[2:] for code in type_code]),
        node_weight=np.array([_node_weight(node.code, node.level) for node in nodes]),
        type_cdf=_type_cdf(codes, [node.level for node in nodes], industry, type_code),
        tenderer_name=tenderer_name,
        tenderer_code=tenderer_code,
        agency_name=_names(stream(seed, "agencies"), np.full(AGENCIES, "辽宁"), ("招标代理", "工程咨询", "项目管理")),
        agency_code=_companies(stream(seed, "agency codes"), np.full(AGENCIES, "91210000")),
        bidder_name=_names(
            stream(seed, "bidders"), np.array([_short(region_names[code]) for code in bidder_region]), SECTORS
        ),
        bidder_code=_companies(stream(seed, "bidder codes"), np.char.add("91", bidder_region)),
        bidder_region=pl.Series(bidder_region),
        person_name=_person_names(stream(seed, "persons"), persons),
        person_id=_person_ids(stream(seed, "person ids"), persons, codes),
        regions=tuple(_regions(node.code, node.level) for node in nodes),
    )


def _node_weight(code: str, level: str) -> float:
    if level == "province":
        return 14.0
    weight = CITY_WEIGHT.get(code if level == "city" else code[:4] + "00", 0.9)
    return weight * (5.0 if level == "city" else 0.85)


def _type_cdf(
    codes: npt.NDArray[np.str_], levels: list[str], industry: npt.NDArray[np.str_], types: npt.NDArray[np.str_]
) -> npt.NDArray[np.float64]:
    """What a node trades: sea areas at the coast only, carbon and drugs not in counties, no E06 code in 210200."""
    share = np.array([INDUSTRY_SHARE[code] for code in industry])
    _, place, counts = np.unique(industry, return_inverse=True, return_counts=True)
    share = share / counts[place]
    weights = np.tile(share, (len(codes), 1))
    coastal = np.array(
        [level == "province" or code.startswith(COAST) for code, level in zip(codes, levels, strict=True)]
    )
    weights[np.ix_(~coastal, np.isin(types, ["0801", "0802"]))] = 0
    county = np.array([level == "county" for level in levels])
    weights[np.ix_(county, np.isin(types, ["0107", "0901", "0903", "1001", "1002", "1003"]))] = 0
    weights[np.ix_(county, np.isin(types, ["0401", "0402"]))] *= 0.5
    cumulated = np.cumsum(weights, axis=1)
    return cumulated / cumulated[:, -1:]


def _regions(code: str, level: str) -> tuple[str, ...]:
    """Divisions where deals of a node take place. The province leaves out 210300, whose A06 means something else."""
    if level == "county":
        return (code,)
    inside = [n.code for n in all_nodes() if n.level == ("city" if level == "province" else "county")]
    if level == "city":
        return (code, *(c for c in inside if c.startswith(code[:4])))
    return (code, *(c for c in inside if c not in ("210200", "210300")))


def _bidder_regions(rng: np.random.Generator, count: int) -> npt.NDArray[np.str_]:
    """Three of four bidders are at home in Liaoning, the rest in any other province."""
    home = np.array([node.code for node in all_nodes() if node.level != "province"])
    elsewhere = np.array([row["code"] for row in read_csv("provinces.csv") if row["code"] != "210000"])
    at_home = rng.random(count) < 0.75
    return np.where(at_home, rng.choice(home, count), rng.choice(elsewhere, count))


def _tenderers(rng: np.random.Generator) -> tuple[pl.Series, pl.Series]:
    names, prefixes = [], []
    kinds = ("人民医院", "教育局", "交通运输局", "水利局", "城市建设投资集团有限公司", "国有资产经营有限公司",
             "自然资源局", "公共事业服务中心", "第一中学", "粮食储备有限公司")  # fmt: skip
    codes = ("12", "11", "11", "11", "91", "91", "11", "12", "12", "91")
    for node in all_nodes():
        for kind, code in zip(kinds, codes, strict=True):
            names.append(f"{node.name}{kind}")
            prefixes.append(code + node.code)
        for _ in range(RURAL_TENDERERS):
            names.append(f"{node.name}{rng.choice(list(FIRST[:-1]))}{rng.choice(list(SECOND))}村股份经济合作社")
            prefixes.append("N2" + node.code)
    return pl.Series(names), _companies(rng, np.array(prefixes))


def _companies(rng: np.random.Generator, prefixes: npt.NDArray[np.str_], *, numbers_only: bool = False) -> pl.Series:
    """Unified social credit codes: prefix of 8, organisation code of 9, check. Distinct for up to 10 million."""
    count = len(prefixes)
    start = int(rng.integers(0, 10_000_000))
    number = (start + np.arange(count, dtype=np.int64) * 7_654_321) % 10_000_000
    lead = "5" if numbers_only else "M"
    bodies = with_organisation_check([f"{lead}{n:07d}" for n in number])
    joined = np.char.add(prefixes.astype("S8"), bodies)
    return pl.Series(with_uscc_check(joined).astype(str))


def _names(rng: np.random.Generator, regions: npt.NDArray[np.str_], sectors: tuple[str, ...]) -> pl.Series:
    """Company names; some carry a character outside GBK, an ampersand or a bracket, as real ones do."""
    count = len(regions)
    middle = np.char.add(rng.choice(list(FIRST), count), rng.choice(list(SECOND), count))
    middle = np.where(rng.random(count) < 0.02, np.char.add(middle, "A&B"), middle)
    middle = np.where(rng.random(count) < 0.02, np.char.add(middle, '"优,选"'), middle)
    name = np.char.add(np.char.add(regions, middle), rng.choice(sectors, count))
    return pl.Series(np.char.add(name, rng.choice(FORMS, count)))


def _short(name: str) -> str:
    for tail in (
        "特别行政区",
        "维吾尔自治区",
        "壮族自治区",
        "回族自治区",
        "自治区",
        "满族自治县",
        "蒙古族自治县",
        "省",
    ):
        if name.endswith(tail):
            return name.removesuffix(tail)
    return name.removesuffix("市") if len(name) > 2 else name


def _person_names(rng: np.random.Generator, count: int) -> pl.Series:
    given = np.char.add(
        rng.choice(list(GIVEN), count), np.where(rng.random(count) < 0.6, rng.choice(list(GIVEN), count), "")
    )
    return pl.Series(np.char.add(rng.choice(list(SURNAMES), count), given))


def _person_ids(rng: np.random.Generator, count: int, codes: npt.NDArray[np.str_]) -> pl.Series:
    born = np.datetime64("1962-01-01") + rng.integers(0, 12_000, count)
    serial = np.arange(count) % 1000
    bodies = [
        f"{code}{str(day).replace('-', '')}{number:03d}"
        for code, day, number in zip(rng.choice(codes[codes != "210000"], count), born, serial, strict=True)
    ]
    return pl.Series(with_resident_check(bodies).astype(str))
