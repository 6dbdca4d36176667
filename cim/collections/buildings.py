"""Buildings: footprints with height, floors, use, life cycle and CIM level."""

from cim.model import Collection, Kind, Property

USES = {
    "residential": ("居住", "residential"),
    "commercial": ("商业", "commercial"),
    "office": ("办公", "office"),
    "industrial": ("工业", "industrial"),
    "public": ("公共", "public"),
    "education": ("教育", "education"),
    "medical": ("医疗", "medical"),
    "transport": ("交通", "transport"),
    "mixed": ("综合", "mixed use"),
    "other": ("其他", "other"),
}

STATUSES = {
    "planned": ("规划", "planned"),
    "approved": ("已批", "approved"),
    "under_construction": ("在建", "under construction"),
    "completed": ("建成", "completed"),
    "demolished": ("拆除", "demolished"),
}

BUILDINGS = Collection(
    id="buildings",
    kind="buildings",
    title_zh="建筑物",
    title_en="Buildings",
    description_zh="建筑物轮廓，含高度、层数、用途、建成年代与全生命周期日期。",
    description_en="Building footprints with height, floors, use, year of construction and life-cycle dates.",
    table_schema="cim",
    table_name="building",
    geometry_type="MultiPolygon",
    properties=(
        Property("name", Kind.TEXT, "名称", "Name", aliases=("name zh", "name:zh", "名称", "建筑名称", "楼名", "楼栋名称", "mc", "names")),
        Property("name_en", Kind.TEXT, "英文名称", "English name", aliases=("name:en", "英文名称", "英文名")),
        Property("address", Kind.TEXT, "地址", "Address", aliases=("地址", "门牌地址", "addr full", "addr:full", "dz")),
        Property(
            "use", Kind.TEXT, "用途", "Use", codes=USES, is_indexed=True,
            aliases=("用途", "建筑用途", "使用性质", "功能", "building", "building use", "type", "class", "subtype", "usage", "function"),
        ),
        Property(
            "height_m", Kind.NUMBER, "高度", "Height", unit="m", minimum=0, maximum=1500,
            aliases=("height", "高度", "建筑高度", "楼高", "building height", "building:height", "hgt", "gd", "jzgd"),
        ),
        Property("height_source", Kind.TEXT, "高度来源", "Source of the height"),
        Property(
            "floors_above", Kind.INTEGER, "地上层数", "Floors above ground", minimum=0, maximum=300,
            aliases=("层数", "地上层数", "楼层", "楼层数", "floor", "floors", "levels", "building levels", "building:levels",
                     "num floors", "num_floors", "storeys", "stories", "cs", "dscs"),
        ),
        Property(
            "floors_below", Kind.INTEGER, "地下层数", "Floors below ground", minimum=0, maximum=30,
            aliases=("地下层数", "building:levels:underground", "basement floors", "dxcs"),
        ),
        Property(
            "year_built", Kind.INTEGER, "建成年代", "Year of completion", minimum=1000, maximum=2200,
            aliases=("建成年代", "建成年份", "竣工年份", "建造年代", "year", "built year", "construction year", "start date"),
        ),
        Property("status", Kind.TEXT, "状态", "Life-cycle stage", codes=STATUSES, is_indexed=True, aliases=("状态", "建设状态", "阶段")),
        Property("planned_on", Kind.DATE, "规划日期", "Planned on", aliases=("规划日期",)),
        Property("approved_on", Kind.DATE, "批准日期", "Approved on", aliases=("批准日期", "审批日期")),
        Property("construction_started_on", Kind.DATE, "开工日期", "Construction started on", aliases=("开工日期", "开工时间")),
        Property("completed_on", Kind.DATE, "竣工日期", "Completed on", aliases=("竣工日期", "竣工时间")),
        Property("demolished_on", Kind.DATE, "拆除日期", "Demolished on", aliases=("拆除日期", "拆除时间", "end date")),
        Property("footprint_area_m2", Kind.NUMBER, "占地面积", "Footprint area", unit="m2", minimum=0, is_filled=True),
        Property(
            "floor_area_m2", Kind.NUMBER, "建筑面积", "Floor area", unit="m2", minimum=0, is_filled=True,
            aliases=("建筑面积", "gross floor area", "gfa", "floor area", "jzmj"),
        ),
        Property("cim_level", Kind.INTEGER, "CIM分级", "CIM level", minimum=1, maximum=7, is_filled=True, aliases=("cim分级", "cim level")),
    ),
)
