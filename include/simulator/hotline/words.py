"""What people say and write at the hotline: invented callers, sentences, departments, statuses.

Numbers begin with 19900 and names have 某 in the middle, so that nobody takes them for a person's.
"""

from functools import lru_cache

import numpy as np
import polars as pl

from simulator.fleet import all_nodes
from simulator.source import stream
from simulator.trading.world import GIVEN, SURNAMES

STATUSES = ("accepted", "dispatched", "handling", "replied", "closed", "called_back", "evaluated", "withdrawn")
UNKNOWN_STATUS = len(STATUSES)
USUAL_WORDS = ("已受理", "已派单", "办理中", "已答复", "已办结", "已回访", "已评价", "已撤销", "办理中")
DALIAN_WORDS = ("受理", "派发", "处置中", "回复", "办结", "回访完成", "评价完成", "撤单", "处置中")
SUSPENDED = "挂起"
CLASSES = (
    "城乡建设", "交通运输", "生态环境", "社会保障", "教育", "医疗卫生", "市场监管", "公共安全", "劳动用工", "农业农村",
    "政务服务", "企业政策",
)  # fmt: skip
CLASS_SHARE = (0.17, 0.11, 0.07, 0.11, 0.06, 0.06, 0.14, 0.06, 0.08, 0.04, 0.06, 0.04)
HANDLERS = (
    "住房和城乡建设局", "交通运输局", "生态环境局", "人力资源和社会保障局", "教育局", "卫生健康委员会",
    "市场监督管理局", "公安局", "人力资源和社会保障局", "农业农村局", "营商环境建设局", "工业和信息化局",
)  # fmt: skip
DEPARTMENTS = (
    "省营商环境建设局", "省市场监督管理局", "省税务局", "省人力资源和社会保障厅", "省住房和城乡建设厅",
    "省文化和旅游厅", "省卫生健康委员会", "省医疗保障局", "省公安厅", "省工业和信息化厅", "省教育厅",
    "省自然资源厅",
)  # fmt: skip
SPECIALTIES = ("企业开办", "纳税服务", "社会保险", "不动产登记", "惠企政策", "文旅服务", "医保报销", "户籍业务")
SESSION_TOPICS = ("惠企政策解读", "减税降费答疑", "社保转移接续", "门诊共济保障", "文体旅消费", "住房公积金提取")
POLICY_TOPICS = (
    "稳岗返还",
    "小微企业减税",
    "门诊共济",
    "一件事一次办",
    "人才补贴",
    "创业担保贷款",
    "文旅惠民",
    "公积金贷款",
)
SUBJECTS = (
    ("小区供暖不热", "楼道照明损坏", "物业乱收费", "路面塌陷"),
    ("公交班次太少", "路口信号灯不亮", "网约车绕路", "停车位被占"),
    ("夜间施工扰民", "餐饮油烟", "河道有异味", "垃圾清运不及时"),
    ("养老金未到账", "社保转移查询", "低保申请进度", "失业金申领"),
    ("课后服务收费", "学区划分咨询", "校车超员", "培训机构不退费"),
    ("预约挂号困难", "医保报销比例", "疫苗接种地点", "急诊等待过久"),
    ("预付卡不退款", "食品过期", "价格欺诈", "虚假宣传"),
    ("噪音扰民", "电动车充电隐患", "户口迁移咨询", "遗失证件补办"),
    ("拖欠工资", "未签劳动合同", "加班费争议", "工伤认定"),
    ("土地承包纠纷", "农机补贴咨询", "灌溉用水不足", "村道未硬化"),
    ("办事材料重复提交", "窗口排队过久", "网上申报失败", "证照领取"),
    ("惠企资金申请", "贷款贴息咨询", "用地审批进度", "招商承诺未兑现"),
)
SENTENCES_PER_CLASS = 240


@lru_cache(maxsize=4)
def callers(seed: int) -> pl.Series:
    rng = stream(seed, "hotline callers")
    surnames, given = rng.choice(list(SURNAMES), 2000), rng.choice(list(GIVEN), 2000)
    return pl.Series(np.char.add(np.char.add(surnames, "某"), given))


def phones(rng: np.random.Generator, count: int) -> pl.Series:
    return "19900" + pl.Series(rng.integers(0, 1_000_000, count)).cast(pl.String).str.zfill(6)


@lru_cache(maxsize=4)
def sentences(seed: int) -> pl.Series:
    """240 sentences for each of the 12 classes, one in fifteen with a phone number in it."""
    rng = stream(seed, "hotline sentences")
    roads = ("中山路", "建设大街", "和平街", "青年大街", "人民路", "解放路", "兴工街", "文化路")
    asks = ("，请尽快处理。", "，多次反映未解决，希望有关部门核实。", "，请问应当如何办理？", "，要求书面答复。")
    found = []
    for subjects in SUBJECTS:
        for _ in range(SENTENCES_PER_CLASS):
            place = f"{rng.choice(roads)}{int(rng.integers(1, 300))}号"
            text = f"来电人反映{place}{rng.choice(subjects)}{rng.choice(asks)}"
            if rng.random() < 1 / 15:
                text += f"联系电话19900{int(rng.integers(0, 1_000_000)):06d}。"
            found.append(text)
    return pl.Series(found)


@lru_cache(maxsize=1)
def handlers() -> pl.Series:
    """The handling department of node index × class, at ``node * 12 + class``."""
    return pl.Series([f"{node.name}{name}" for node in all_nodes() for name in HANDLERS])


@lru_cache(maxsize=1)
def status_words() -> pl.Series:
    """What each node calls a status, at ``node * 9 + status``; the ninth is in no list of statuses."""
    found: list[str] = []
    for node in all_nodes():
        words = list(DALIAN_WORDS if node.city == "210200" else USUAL_WORDS)
        if node.city == "211000":
            words[1] = "已签收"
        if node.city == "210300":
            words[UNKNOWN_STATUS] = SUSPENDED
        found += words
    return pl.Series(found)


def status_expression(word: str = "STATUS_NAME") -> pl.Expr:
    """The number of the status that a city's word stands for."""
    known = {"已签收": 1, SUSPENDED: UNKNOWN_STATUS}
    for words in (DALIAN_WORDS, USUAL_WORDS):
        known |= {text: number for number, text in enumerate(words[:UNKNOWN_STATUS])}
    return pl.col(word).replace_strict(known, return_dtype=pl.Int64)


def known_words(*numbers: int) -> list[str]:
    """All words by which some city says one of these statuses."""
    extra = {1: "已签收", UNKNOWN_STATUS: SUSPENDED}
    found = [words[n] for words in (USUAL_WORDS, DALIAN_WORDS) for n in numbers if n != UNKNOWN_STATUS]
    return found + [extra[n] for n in numbers if n in extra]
