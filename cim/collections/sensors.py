"""Sensors: where a channel stands, what it observes, and its latest value."""

from cim.model import Collection, Kind, Property

SENSOR_KINDS = {
    "air_quality": ("空气质量", "air quality"),
    "weather": ("气象", "weather"),
    "noise": ("噪声", "noise"),
    "water_level": ("水位", "water level"),
    "water_quality": ("水质", "water quality"),
    "traffic_flow": ("交通流量", "traffic flow"),
    "structure": ("结构监测", "structural health"),
    "energy": ("能耗", "energy"),
    "manhole": ("井盖", "manhole cover"),
    "parking": ("停车", "parking"),
    "other": ("其他", "other"),
}

SENSORS = Collection(
    id="sensors",
    kind="sensors",
    title_zh="物联感知",
    title_en="Sensors",
    description_zh="物联感知通道的位置、观测项、单位与最新观测值。",
    description_en="Sensor channels: place, observed property, unit and latest value.",
    table_schema="cim",
    table_name="sensor",
    geometry_type="Point",
    properties=(
        Property(
            "name",
            Kind.TEXT,
            "名称",
            "Name",
            is_searchable=True,
            aliases=("名称", "设备名称", "站点名称", "站名", "station name", "station", "location", "title"),
            reveals_place=True,
        ),
        Property(
            "kind",
            Kind.TEXT,
            "类型",
            "Kind",
            codes=SENSOR_KINDS,
            is_indexed=True,
            aliases=("类型", "设备类型", "type", "facility type", "sensor type"),
        ),
        Property(
            "observed_property",
            Kind.TEXT,
            "观测项",
            "Observed property",
            is_indexed=True,
            aliases=("观测项", "监测项", "监测因子", "parameter", "variable", "observed property"),
        ),
        Property(
            "unit_of_measurement",
            Kind.TEXT,
            "单位",
            "Unit of measurement",
            aliases=("单位", "unit", "uom", "unit of measurement"),
        ),
        Property("operator", Kind.TEXT, "管理单位", "Operator", aliases=("管理单位", "权属单位", "owner", "agency")),
        Property(
            "status",
            Kind.TEXT,
            "状态",
            "Status",
            is_indexed=True,
            aliases=("状态", "运行状态"),
            codes={"active": ("在用", "active"), "faulty": ("故障", "faulty"), "retired": ("停用", "retired")},
        ),
        Property(
            "elevation_m",
            Kind.NUMBER,
            "高程",
            "Elevation",
            unit="m",
            minimum=-500,
            maximum=9000,
            aliases=("elevation", "高程", "海拔", "altitude"),
        ),
        Property(
            "installed_on", Kind.DATE, "安装日期", "Installed on", aliases=("安装日期", "建成日期", "install date")
        ),
        Property("removed_on", Kind.DATE, "拆除日期", "Removed on", aliases=("拆除日期",)),
        Property(
            "latest_result", Kind.NUMBER, "最新值", "Latest result", aliases=("最新值", "value", "result", "监测值")
        ),
        Property(
            "latest_time",
            Kind.INSTANT,
            "最新时间",
            "Time of the latest result",
            aliases=("最新时间", "监测时间", "datetime", "phenomenon time", "result time", "time"),
        ),
        Property(
            "recent_results",
            Kind.JSON,
            "近期观测",
            "Recent hourly results, the last at latest_time",
            aliases=("近期观测",),
        ),
    ),
)
