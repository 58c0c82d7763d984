"""The six source tables of the hotline. Their fields are reconstructed."""

from simulator.fleet import Connector, Node
from simulator.tables import System, Table

_TAIL = {"DATA_TIMESTAMP": "数据时间戳", "IS_DELETE": "删除标记"}

DEPARTMENT = Table(
    dataset="department",
    name="DEPARTMENT",
    chinese="部门",
    columns={"DEPT_CODE": "部门编码", "DEPT_NAME": "部门名称", **_TAIL},
    key=("DEPT_CODE",),
    event="DATA_TIMESTAMP",
    levels=("province",),
)
EXPERT = Table(
    dataset="expert",
    name="EXPERT",
    chinese="专家",
    columns={
        "EXPERT_CODE": "专家编码",
        "EXPERT_NAME": "专家姓名",
        "DEPT_CODE": "部门编码",
        "SPECIALTY": "专业领域",
        "START_DATE": "聘任日期",
        **_TAIL,
    },
    key=("EXPERT_CODE",),
    event="START_DATE",
    levels=("province",),
)
EXPERT_SESSION = Table(
    dataset="expert_session",
    name="EXPERT_SESSION",
    chinese="专家坐席",
    columns={
        "SESSION_CODE": "坐席编码",
        "EXPERT_CODE": "专家编码",
        "SESSION_DATE": "坐席日期",
        "TOPIC": "主题",
        "SESSION_KIND": "坐席类型",
        **_TAIL,
    },
    key=("SESSION_CODE",),
    event="SESSION_DATE",
    levels=("province",),
)
POLICY_WEEK = Table(
    dataset="policy_week",
    name="POLICY_WEEK",
    chinese="一周一策",
    columns={
        "WEEK_CODE": "周次编码",
        "WEEK_START": "起始日期",
        "TOPIC": "政策主题",
        "INTERPRETATION": "政策解读",
        "DEPT_CODE": "部门编码",
        **_TAIL,
    },
    key=("WEEK_CODE",),
    event="WEEK_START",
    levels=("province",),
)
WORK_ORDER = Table(
    dataset="work_order",
    name="WORK_ORDER",
    chinese="工单",
    columns={
        "ORDER_NO": "工单编号",
        "CLASS_CODE": "诉求分类",
        "CHANNEL_CODE": "受理渠道",
        "CONTENT": "诉求内容",
        "CALLER_NAME": "来电人姓名",
        "CALLER_PHONE": "来电号码",
        "DIVISION_CODE": "事发区划",
        "DEPT_NAME": "承办部门",
        "ACCEPT_TIME": "受理时间",
        "DISPATCH_TIME": "派单时间",
        "DUE_TIME": "办理时限",
        "FIRST_CONTACT_TIME": "首次联系时间",
        "CLOSE_TIME": "办结时间",
        "STATUS_NAME": "工单状态",
        **_TAIL,
    },
    key=("ORDER_NO",),
    event="ACCEPT_TIME",
    levels=("city",),
)
CALLBACK = Table(
    dataset="callback",
    name="CALLBACK",
    chinese="回访",
    columns={
        "CALLBACK_ID": "回访编号",
        "ORDER_NO": "工单编号",
        "CALLBACK_TIME": "回访时间",
        "IS_SOLVED": "是否解决",
        "SATISFACTION_CODE": "满意度",
        "REASON_CODE": "不满意原因",
        **_TAIL,
    },
    key=("CALLBACK_ID",),
    event="CALLBACK_TIME",
    levels=("city",),
)
TABLES = (DEPARTMENT, EXPERT, EXPERT_SESSION, POLICY_WEEK, WORK_ORDER, CALLBACK)


def _connector(node: Node) -> Connector | None:
    """The province has a database, cities have APIs, counties have no hotline of their own."""
    return {"province": "postgres", "city": "http"}.get(node.level)  # type: ignore[return-value]


HOTLINE = System("hotline", TABLES, _connector)
