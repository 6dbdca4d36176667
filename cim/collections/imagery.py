"""Imagery: footprints and metadata of scenes; served as features and as STAC items."""

from cim.model import Collection, Kind, Property

IMAGERY = Collection(
    id="imagery",
    kind="imagery",
    title_zh="影像",
    title_en="Imagery",
    description_zh="影像覆盖范围与元数据，同时以 STAC 提供。",
    description_en="Footprints and metadata of scenes, also served as STAC items.",
    table_schema="cim",
    table_name="imagery",
    geometry_type="Geometry",
    properties=(
        Property("stac_collection", Kind.TEXT, "影像集", "STAC collection", is_indexed=True, aliases=("collection",)),
        Property(
            "title", Kind.TEXT, "标题", "Title", aliases=("标题", "title"), is_searchable=True, reveals_place=True
        ),
        Property(
            "datetime", Kind.INSTANT, "成像时间", "Acquired at", is_indexed=True, aliases=("成像时间", "拍摄时间")
        ),
        Property("start_datetime", Kind.INSTANT, "开始时间", "Acquisition begin"),
        Property("end_datetime", Kind.INSTANT, "结束时间", "Acquisition end"),
        Property(
            "gsd_m",
            Kind.NUMBER,
            "地面分辨率",
            "Ground sample distance",
            unit="m",
            minimum=0,
            aliases=("gsd", "分辨率", "resolution"),
        ),
        Property(
            "cloud_cover_percent",
            Kind.NUMBER,
            "云量",
            "Cloud cover",
            unit="%",
            minimum=0,
            maximum=100,
            aliases=("eo:cloud_cover", "云量"),
        ),
        Property("platform", Kind.TEXT, "平台", "Platform", aliases=("平台", "卫星")),
        Property("crs", Kind.TEXT, "坐标系", "CRS of the pixels", aliases=("proj:code", "proj:epsg", "坐标系")),
        Property("width", Kind.INTEGER, "列数", "Columns", minimum=0),
        Property("height", Kind.INTEGER, "行数", "Rows", minimum=0),
        Property("bands", Kind.JSON, "波段", "Bands: name, data type, nodata, scale, offset"),
        Property("assets", Kind.JSON, "资源", "STAC assets", reveals_place=True),
        Property(
            "stac_properties", Kind.JSON, "STAC 属性", "Other STAC properties, links and extensions", reveals_place=True
        ),
    ),
)
