"""Cameras: where they stand and what they see. Streams are never opened by OpenCIM's loaders."""

from cim.model import Collection, Kind, Property

CAMERA_KINDS = {
    "fixed": ("枪机", "fixed"),
    "dome": ("半球", "dome"),
    "ptz": ("球机", "pan-tilt-zoom"),
    "panoramic": ("全景", "panoramic"),
    "enforcement": ("执法抓拍", "enforcement"),
    "other": ("其他", "other"),
}

CAMERAS = Collection(
    id="cameras",
    kind="cameras",
    title_zh="视频监控",
    title_en="Cameras",
    description_zh="摄像机点位、朝向与视场。",
    description_en="Cameras with direction and field of view.",
    table_schema="cim",
    table_name="camera",
    geometry_type="Point",
    properties=(
        Property(
            "name",
            Kind.TEXT,
            "名称",
            "Name",
            aliases=("名称", "点位名称", "摄像机名称", "description", "描述", "title"),
            reveals_place=True,
        ),
        Property(
            "kind",
            Kind.TEXT,
            "类型",
            "Kind",
            codes=CAMERA_KINDS,
            is_indexed=True,
            aliases=("类型", "摄像机类型", "type", "camera type"),
        ),
        Property(
            "direction_deg",
            Kind.NUMBER,
            "朝向",
            "Direction, clockwise from north",
            unit="deg",
            minimum=0,
            maximum=360,
            aliases=("朝向", "方位角", "bearing", "direction", "azimuth", "heading", "camera:direction"),
        ),
        Property(
            "field_of_view_deg",
            Kind.NUMBER,
            "视场角",
            "Field of view",
            unit="deg",
            minimum=0,
            maximum=360,
            aliases=("视场角", "fov", "field of view", "camera:angle"),
        ),
        Property(
            "range_m",
            Kind.NUMBER,
            "可视距离",
            "Range",
            unit="m",
            minimum=0,
            maximum=20000,
            aliases=("可视距离", "range", "view distance"),
        ),
        Property(
            "operator", Kind.TEXT, "管理单位", "Operator", aliases=("管理单位", "权属单位", "owner", "region", "agency")
        ),
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
            "image_url",
            Kind.TEXT,
            "图像地址",
            "Address of the image or stream",
            aliases=("图像地址", "url", "image url", "stream url", "image"),
            reveals_place=True,
        ),
        Property("installed_on", Kind.DATE, "安装日期", "Installed on", aliases=("安装日期", "install date")),
        Property("removed_on", Kind.DATE, "拆除日期", "Removed on", aliases=("拆除日期",)),
    ),
)
