"""Areas: the tree city → district → street → community with its 行政区划代码."""

from cim.model import Collection, Kind, Property

LEVELS = {
    "city": ("市", "city"),
    "district": ("区", "district"),
    "street": ("街道", "street"),
    "community": ("社区", "community"),
}
"""Level → title. `CODE_LENGTHS` gives the digits of a trimmed code of each level."""

CODE_LENGTHS = {"city": 4, "district": 6, "street": 9, "community": 12}
"""Digits of a code without its trailing zero groups (GB/T 2260 for 2+2+2, then 3 for street and 3 for community)."""

AREAS = Collection(
    id="areas",
    kind="areas",
    title_zh="行政区划",
    title_en="Administrative areas",
    description_zh="市、区、街道、社区四级区划，含行政区划代码。",
    description_en="City, district, street and community, with administrative division codes.",
    table_schema="cim",
    table_name="area",
    geometry_type="MultiPolygon",
    is_maskable=False,
    properties=(
        Property(
            "code",
            Kind.TEXT,
            "区划代码",
            "Division code",
            is_indexed=True,
            aliases=(
                "adcode",
                "ad code",
                "admincode",
                "adm code",
                "区划代码",
                "行政区划代码",
                "行政代码",
                "division code",
                "gb",
                "xzqdm",
                "行政区代码",
                "areacode",
            ),
        ),
        Property(
            "name",
            Kind.TEXT,
            "名称",
            "Name",
            is_searchable=True,
            aliases=(
                "名称",
                "区划名称",
                "name zh",
                "name:zh",
                "qh",
                "tcname",
                "xzqmc",
                "行政区名称",
                "区名",
                "mc",
                "cname",
            ),
        ),
        Property(
            "name_en",
            Kind.TEXT,
            "英文名称",
            "English name",
            is_searchable=True,
            aliases=("name:en", "pyname", "enname", "ename", "英文名", "dcname"),
        ),
        Property(
            "level",
            Kind.TEXT,
            "级别",
            "Level",
            codes=LEVELS,
            is_indexed=True,
            aliases=("级别", "层级", "admin level", "行政级别"),
        ),
        Property(
            "parent_code",
            Kind.TEXT,
            "上级代码",
            "Parent code",
            is_indexed=True,
            aliases=("parent", "上级代码", "父级代码", "parentcode", "pcode"),
        ),
        Property(
            "area_m2", Kind.NUMBER, "面积", "Area", unit="m2", minimum=0, is_filled=True, aliases=("面积", "shape area")
        ),
    ),
)
