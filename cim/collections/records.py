"""The catalogue of data services as a collection: what its records can be asked for and sorted by.

It is none of BUILTIN: its rows are the view `cim.record` over the services, which are registered and not loaded. The
names are those of the members of a record.
"""

from cim.catalogue.service import KINDS, SHARE_CLASSES, UPDATE_CYCLES
from cim.model import Collection, Kind, Property

CATALOGUE_ID = "catalogue"

TYPES = {"service": ("服务", "service"), "dataset": ("数据集", "dataset")}
"""What a record may be of: a file to download is a dataset, all else a service."""

STATES = {
    "draft": ("草稿", "draft"),
    "in_review": ("审核中", "in review"),
    "approved": ("已审核", "approved"),
    "published": ("已上架", "published"),
    "suspended": ("已暂停", "suspended"),
    "withdrawn": ("已下架", "withdrawn"),
    "archived": ("已归档", "archived"),
}

SHARE_TITLES = dict(
    zip(
        SHARE_CLASSES,
        (("无条件共享", "unconditional"), ("有条件共享", "conditional"), ("不予共享", "not shared")),
        strict=True,
    )
)
CYCLE_TITLES = dict(
    zip(
        UPDATE_CYCLES,
        (
            *(("实时", "continual"), ("每日", "daily"), ("每周", "weekly"), ("每月", "monthly")),
            *(("每季", "quarterly"), ("每年", "yearly"), ("不定期", "irregular"), ("一次性", "once")),
        ),
        strict=True,
    )
)

RECORDS = Collection(
    id=CATALOGUE_ID,
    kind="records",
    title_zh="数据服务目录",
    title_en="Catalogue of data services",
    description_zh="已上架的数据服务：查找、查看、申请、调用。",
    description_en="Services on the shelf: found, read, applied for and called.",
    table_schema="cim",
    table_name="record",
    geometry_type="Polygon",
    is_maskable=False,
    feature_count=None,
    properties=(
        Property("type", Kind.TEXT, "类型", "Type of the resource", codes=TYPES),
        Property("title", Kind.TEXT, "标题", "Title, the Chinese one where there is one"),
        Property("title_zh", Kind.TEXT, "中文标题", "Chinese title"),
        Property("title_en", Kind.TEXT, "英文标题", "English title"),
        Property("description_zh", Kind.TEXT, "中文说明", "Chinese description"),
        Property("description_en", Kind.TEXT, "英文说明", "English description"),
        Property("keywords", Kind.JSON, "主题词", "Themes"),
        Property("kind", Kind.TEXT, "服务类型", "Kind of service", codes={k: (zh, k) for k, zh in KINDS.items()}),
        Property("organisation", Kind.TEXT, "提供机构", "Id of the organisation that offers it"),
        Property("shareClass", Kind.TEXT, "共享类型", "Share class", codes=SHARE_TITLES),
        Property("cimLevel", Kind.INTEGER, "CIM 级别", "CIM level", minimum=1, maximum=7),
        Property("areaCode", Kind.TEXT, "区划代码", "Division code of the area it is about"),
        Property("updateCycle", Kind.TEXT, "更新周期", "Update cycle", codes=CYCLE_TITLES),
        Property("state", Kind.TEXT, "状态", "State", codes=STATES),
        Property("license", Kind.TEXT, "许可", "Licence"),
        Property("collectionId", Kind.TEXT, "数据集合", "Collection of this node that it offers"),
        Property("created", Kind.INSTANT, "登记时间", "Registered"),
        Property("updated", Kind.INSTANT, "更新时间", "Last changed", is_indexed=True),
        Property("published", Kind.INSTANT, "上架时间", "Put on the shelf"),
    ),
)
