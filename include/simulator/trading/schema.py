"""The seven source tables of trading, with the field names of the national data standard.

All 38 transaction types use these seven tables: a stated simplification of the reconstruction.
"""

from simulator.tables import System, Table

_TAIL = {
    "PLATFORM_CODE": "交易系统标识码",
    "PUB_SERVICE_PLAT_CODE": "公共服务平台标识码",
    "DATA_TIMESTAMP": "数据时间戳",
    "IS_DELETE": "删除标记",
}
_LOT_REFERENCE = {
    "TENDER_PROJECT_CODE": "招标项目编号",
    "BID_SECTION_CODE": "标段（包）编号",
    "UNIFIED_DEAL_CODE": "统一交易标识码",
}

PROJECT = Table(
    dataset="project",
    name="TENDER_PROJECT",
    chinese="招标项目",
    columns={
        "PROJECT_CODE": "项目编号",
        "TENDER_PROJECT_CODE": "招标项目编号",
        "UNIFIED_DEAL_CODE": "统一交易标识码",
        "TENDER_PROJECT_NAME": "招标项目名称",
        "TENDER_PROJECT_TYPE": "招标项目类型",
        "REGION_CODE": "行政区域代码",
        "OWNER_NAME": "项目业主名称",
        "TENDERER_NAME": "招标人名称",
        "TENDERER_CODE": "招标人代码",
        "TENDER_AGENCY_NAME": "招标代理机构名称",
        "TENDER_AGENCY_CODE": "招标代理机构代码",
        "TENDER_MODE": "招标方式",
        "TENDER_ORGANIZE_FORM": "招标组织形式",
        "SUPERVISE_DEPT_NAME": "监督部门名称",
        "SUPERVISE_DEPT_CODE": "监督部门代码",
        "CREATE_TIME": "招标项目建立时间",
        **_TAIL,
    },
    key=("TENDER_PROJECT_CODE",),
    event="CREATE_TIME",
)
LOT = Table(
    dataset="lot",
    name="BID_SECTION",
    chinese="标段（包）",
    columns={
        "TENDER_PROJECT_CODE": "招标项目编号",
        "BID_SECTION_CODE": "标段（包）编号",
        "BID_SECTION_NAME": "标段（包）名称",
        "UNIFIED_DEAL_CODE": "统一交易标识码",
        "REGION_CODE": "行政区域代码",
        "TRA_PLACE_CODE": "交易场所代码",
        "CONTRACT_RECKON_PRICE": "标段合同估算价",
        "CURRENCY_CODE": "币种代码",
        "PRICE_UNIT": "价格单位",
        "REMOTE_EVALUATION_REGION": "远程异地评标地区",
        "CREATE_TIME": "标段（包）建立时间",
        **_TAIL,
    },
    key=("BID_SECTION_CODE",),
    event="CREATE_TIME",
    price="CONTRACT_RECKON_PRICE",
)
NOTICE = Table(
    dataset="notice",
    name="TENDER_NOTICE",
    chinese="公告",
    columns={
        "TENDER_PROJECT_CODE": "招标项目编号",
        "BID_SECTION_CODES": "标段（包）编号（多个）",
        "UNIFIED_DEAL_CODES": "统一交易标识码（多个）",
        "NOTICE_NAME": "公告标题",
        "NOTICE_SEND_TIME": "公告发布时间",
        "NOTICE_MEDIA": "公告发布媒体",
        "URL": "公告发布地址",
        "NOTICE_NATURE": "公告性质",
        "BULLETIN_TYPE": "公告类型",
        "BID_DOC_REFER_END_TIME": "投标文件递交截止时间",
        "BID_OPEN_TIME": "开标时间",
        **_TAIL,
    },
    key=("URL",),
    event="NOTICE_SEND_TIME",
)
BID = Table(
    dataset="bid",
    name="BIDDER",
    chinese="投标人",
    columns={
        **_LOT_REFERENCE,
        "BIDDER_NAME": "投标人名称",
        "BIDDER_ORG_CODE": "投标人代码",
        "BIDDER_ROLE": "投标人角色",
        "IS_LOST": "是否废标",
        "PRICE_FORM_CODE": "价格形式代码",
        "BID_PRICE": "投标报价",
        "OTHER_BID_PRICE": "其他投标报价",
        "PRICE_CURRENCY": "报价币种",
        "PRICE_UNIT": "价格单位",
        "CHECKIN_TIME": "投标文件递交时间",
        "BIDDER_REGION_CODE": "投标人所在地区",
        "PM_CODE": "项目负责人证件号码",
        **_TAIL,
    },
    key=("BID_SECTION_CODE", "BIDDER_ORG_CODE"),
    event="CHECKIN_TIME",
    price="BID_PRICE",
)
RESULT = Table(
    dataset="result",
    name="WIN_RESULT",
    chinese="中标结果",
    columns={
        **_LOT_REFERENCE,
        "WIN_BIDDER_NAME": "中标人名称",
        "WIN_BIDDER_CODE": "中标人代码",
        "PRICE_FORM_CODE": "价格形式代码",
        "BID_AMOUNT": "中标金额",
        "OTHER_BID_AMOUNT": "其他中标价",
        "PRICE_UNIT": "价格单位",
        "NOTICE_SEND_TIME": "中标公告发布时间",
        "BIDDER_REGION_CODE": "中标人所在地区",
        "PROJECT_LEAD": "项目负责人",
        "PROJECT_LEAD_ID": "项目负责人证件号码",
        **_TAIL,
    },
    key=("BID_SECTION_CODE", "WIN_BIDDER_CODE"),
    event="NOTICE_SEND_TIME",
    price="BID_AMOUNT",
)
CONTRACT = Table(
    dataset="contract",
    name="CONTRACT",
    chinese="合同",
    columns={
        **_LOT_REFERENCE,
        "CONTRACT_NAME": "合同名称",
        "TENDER_CODE": "招标人代码",
        "BIDDER_CODE": "中标人代码",
        "CONTRACT_PRICE": "合同金额",
        "PRICE_UNIT": "价格单位",
        "CONTRACT_SIGN_TIME": "合同签署时间",
        "LIMITE_TIME": "合同期限",
        **_TAIL,
    },
    key=("BID_SECTION_CODE", "BIDDER_CODE"),
    event="CONTRACT_SIGN_TIME",
    price="CONTRACT_PRICE",
)
PERFORMANCE = Table(
    dataset="performance",
    name="PERFORMANCE",
    chinese="履约",
    columns={
        **_LOT_REFERENCE,
        "SETTLE_PRICE": "合同结算金额",
        "PRICE_UNIT": "价格单位",
        "FINISH_TIME": "合同完成时间",
        "CONTRACT_CHANGE_CONTENT": "合同变更内容",
        "ACTUALLY_PERIOD": "实际履约期限",
        "REPORT_ISSUE_TIME": "履约信息发布时间",
        **_TAIL,
    },
    key=("BID_SECTION_CODE",),
    event="FINISH_TIME",
    price="SETTLE_PRICE",
)

TRADING = System("trading", (PROJECT, LOT, NOTICE, BID, RESULT, CONTRACT, PERFORMANCE))
