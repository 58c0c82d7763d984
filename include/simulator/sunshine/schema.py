"""The five source tables of the sunshine services. Their fields are reconstructed."""

from simulator.fleet import Connector, Node
from simulator.tables import System, Table

_TAIL = {"DATA_TIMESTAMP": "数据时间戳", "IS_DELETE": "删除标记"}
_MONTH = {"VILLAGE_CODE": "村（社区）代码", "STAT_MONTH": "统计月份"}

DISCLOSURE = Table(
    dataset="disclosure",
    name="DISCLOSURE",
    chinese="公开事项",
    columns={
        "DISCLOSURE_ID": "公开编号",
        "VILLAGE_CODE": "村（社区）代码",
        "CATEGORY_CODE": "公开类别",
        "ITEM_CODE": "事项编码",
        "TITLE": "标题",
        "ENTER_TIME": "录入时间",
        "REVIEW_TIME": "审核时间",
        "PUBLISH_TIME": "发布时间",
        "IS_WITHDRAWN": "是否撤回",
        **_TAIL,
    },
    key=("DISCLOSURE_ID",),
    event="PUBLISH_TIME",
    levels=("city",),
)
TRACKED_PROBLEM = Table(
    dataset="tracked_problem",
    name="TRACKED_PROBLEM",
    chinese="跟踪问题",
    columns={
        "PROBLEM_ID": "问题编号",
        "VILLAGE_CODE": "村（社区）代码",
        "PROBLEM_KIND": "问题类型",
        "OPEN_TIME": "登记时间",
        "RESOLVE_TIME": "解决时间",
        **_TAIL,
    },
    key=("PROBLEM_ID",),
    event="OPEN_TIME",
    levels=("city",),
)
REGISTRATION = Table(
    dataset="registration",
    name="REGISTRATION",
    chinese="注册用户",
    columns={**_MONTH, "NEW_USERS": "新增用户数", **_TAIL},
    key=("VILLAGE_CODE", "STAT_MONTH"),
    event="STAT_MONTH",
    integers=("NEW_USERS",),
    levels=("province",),
)
EVALUATION = Table(
    dataset="evaluation",
    name="EVALUATION",
    chinese="群众评价",
    columns={**_MONTH, "PARTICIPANTS": "参与人数", "SATISFIED": "满意人数", **_TAIL},
    key=("VILLAGE_CODE", "STAT_MONTH"),
    event="STAT_MONTH",
    integers=("PARTICIPANTS", "SATISFIED"),
    levels=("province",),
)
PETITION = Table(
    dataset="petition",
    name="PETITION",
    chinese="信访举报",
    columns={**_MONTH, "COMPLAINTS": "投诉数", "REPORTS": "举报数", **_TAIL},
    key=("VILLAGE_CODE", "STAT_MONTH"),
    event="STAT_MONTH",
    integers=("COMPLAINTS", "REPORTS"),
    levels=("province",),
)
MONTHLY = (REGISTRATION, EVALUATION, PETITION)


def _connector(node: Node) -> Connector | None:
    """Databases at the province and the cities; counties watch there."""
    return None if node.level == "county" else "postgres"


SUNSHINE = System("sunshine", (DISCLOSURE, TRACKED_PROBLEM, *MONTHLY), _connector)
