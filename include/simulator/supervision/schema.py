"""The four source tables of supervision. Names of fields are reconstructed: no public source gives them."""

from simulator.tables import System, Table

_TAIL = {"DATA_TIMESTAMP": "数据时间戳", "IS_DELETE": "删除标记"}

BATCH = Table(
    dataset="batch",
    name="BATCH",
    chinese="问题批次",
    columns={
        "BATCH_CODE": "批次编号",
        "BATCH_NO": "批次序号",
        "BATCH_NAME": "批次名称",
        "ISSUED_TIME": "下发时间",
        "DUE_TIME": "办结时限",
        **_TAIL,
    },
    key=("BATCH_CODE",),
    event="ISSUED_TIME",
    integers=("BATCH_NO",),
    levels=("province",),
)
ISSUE = Table(
    dataset="issue",
    name="ISSUE",
    chinese="营商环境问题",
    columns={
        "ISSUE_CODE": "问题编号",
        "BATCH_CODE": "批次编号",
        "NODE_CODE": "责任地区",
        "ENVIRONMENT_CODE": "环境类别代码",
        "SOURCE_CODE": "问题来源代码",
        "TITLE": "问题标题",
        "LEAD_DEPT": "牵头部门",
        "ASSIGN_TIME": "交办时间",
        "DUE_TIME": "办结时限",
        **_TAIL,
    },
    key=("ISSUE_CODE",),
    event="ASSIGN_TIME",
    levels=("province",),
)
ISSUE_EVENT = Table(
    dataset="issue_event",
    name="ISSUE_EVENT",
    chinese="问题办理记录",
    columns={
        "EVENT_ID": "记录编号",
        "ISSUE_CODE": "问题编号",
        "NODE_CODE": "责任地区",
        "EVENT_TYPE": "办理环节",
        "EVENT_TIME": "办理时间",
        "HANDLER_NAME": "经办人",
        **_TAIL,
    },
    key=("EVENT_ID",),
    event="EVENT_TIME",
)
ISSUE_OUTCOME = Table(
    dataset="issue_outcome",
    name="ISSUE_OUTCOME",
    chinese="问题整改成果",
    columns={
        "OUTCOME_ID": "成果编号",
        "ISSUE_CODE": "问题编号",
        "NODE_CODE": "责任地区",
        "OUTCOME_TYPE": "成果类型",
        "AMOUNT": "金额",
        "PRICE_UNIT": "价格单位",
        "QUANTITY": "数量",
        "RESPONSIBLE_KIND": "责任主体类型",
        "OUTCOME_TIME": "取得时间",
        **_TAIL,
    },
    key=("OUTCOME_ID",),
    event="OUTCOME_TIME",
    price="AMOUNT",
    integers=("QUANTITY",),
)

SUPERVISION = System("supervision", (BATCH, ISSUE, ISSUE_EVENT, ISSUE_OUTCOME))
