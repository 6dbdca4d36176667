"""Words of real tables → members of a registration, and their codes. Keys are lower case without spaces."""

from cim.catalogue.service import KINDS, SHARE_CLASSES, UPDATE_CYCLES

TITLES = {
    "id": "服务编号",
    "title_zh": "服务名称",
    "title_en": "英文名称",
    "kind": "服务类型",
    "organisation_id": "提供单位",
    "description_zh": "服务描述",
    "description_en": "英文描述",
    "themes": "主题",
    "endpoints": "服务地址",
    "share_class": "共享类型",
    "cim_level": "CIM级别",
    "area_code": "行政区划代码",
    "bbox": "空间范围",
    "collection_id": "数据集",
    "licence": "许可",
    "contact": "联系方式",
    "update_cycle": "更新周期",
    "state": "状态",
}
"""Column of a table, in the order of the template → its Chinese heading."""

HEADINGS = {
    "id": "id serviceid identifier 服务编号 服务编码 服务标识 服务id 编号 编码 标识",
    "title_zh": "titlezh title 服务名称 服务中文名称 中文名称 名称 标题 中文标题 资源名称",
    "title_en": "titleen englishtitle 英文名称 服务英文名称 英文标题",
    "kind": "kind type servicetype 服务类型 类型 服务类别 接口类型",
    "organisation_id": "organisationid organisation organization owner publisher 提供单位 所属单位 单位 单位编码 机构 机构编码 提供机构 "
    "发布单位 责任单位 提供方 数据提供单位",
    "description_zh": "descriptionzh description abstract 服务描述 描述 摘要 服务简介 简介 服务说明 说明 中文描述 资源摘要",
    "description_en": "descriptionen 英文描述 英文摘要 英文说明",
    "themes": "themes theme keywords 主题 专题 主题分类 服务主题 关键字 关键词 标签",
    "endpoints": "endpoints endpoint url address 服务地址 地址 访问地址 接口地址 服务url 调用地址 链接",
    "share_class": "shareclass share 共享类型 共享属性 共享方式 共享类别",
    "cim_level": "cimlevel level cim级别 cim等级 模型级别 级别",
    "area_code": "areacode area 行政区划代码 区划代码 行政区划 行政区代码 行政区划编码",
    "bbox": "bbox extent 空间范围 范围 四至 四至范围 边界",
    "collection_id": "collectionid collection 数据集 要素集",
    "licence": "licence license 许可 许可协议 使用许可 授权协议",
    "contact": "contact 联系方式 联系人 联系电话 联系邮箱",
    "update_cycle": "updatecycle updatefrequency 更新周期 更新频率 更新频度",
    "quality": "quality 质量 质量说明 数据质量",
    "time_from": "timefrom from 起始时间 开始时间 起始日期",
    "time_to": "timeto to 终止时间 结束时间 终止日期",
    "state": "state status 状态 服务状态 发布状态",
}
"""Column → headings that mean it."""

MEMBER_OF = {word: member for member, words in HEADINGS.items() for word in words.split()}

_KINDS = {
    "地图服务": "wms",
    "网络地图服务": "wms",
    "地图瓦片": "wmts",
    "瓦片地图服务": "wmts",
    "要素": "features",
    "网络要素服务": "wfs",
    "三维瓦片": "3dtiles",
    "三维模型": "3dtiles",
    "三维服务": "3dtiles",
    "3dtile": "3dtiles",
    "arcgisrest": "arcgis",
    "ogcapi-features": "ogcapi",
    "接口": "rest",
    "接口服务": "rest",
    "rest接口": "rest",
    "api": "rest",
    "文件": "file",
    "数据文件": "file",
    "视频": "video",
    "视频服务": "video",
    "统计": "statistics",
}
_SHARES = dict(zip(("无条件共享", "有条件共享", "不予共享"), SHARE_CLASSES, strict=True))
_SHARES |= dict(zip(("无条件", "有条件", "不共享"), SHARE_CLASSES, strict=True))
_CYCLES = dict(zip(("实时", "每日", "每周", "每月", "每季度", "每年", "不定期", "一次性"), UPDATE_CYCLES, strict=True))
_CYCLES |= dict(zip(("持续", "日", "周", "月", "季", "年", "不固定", "一次"), UPDATE_CYCLES, strict=True))
_CYCLES |= {
    "每天": "daily",
    "按日": "daily",
    "按周": "weekly",
    "按月": "monthly",
    "季度": "quarterly",
    "按年": "yearly",
}

CODES: dict[str, dict[str, str]] = {
    "kind": {**{title.lower().replace(" ", ""): code for code, title in KINDS.items()}, **_KINDS},
    "share_class": _SHARES,
    "update_cycle": _CYCLES,
    "state": {"草稿": "draft", "已发布": "published", "发布": "published", "已上架": "published", "上架": "published"},
}
"""Column → word of a cell → code."""


def plain(text: str) -> str:
    """A heading or a word of a code as the tables of this module have it."""
    kept = "".join(c for c in text.strip().lower() if c not in " _　*:：\t")
    return kept.partition("(")[0].partition("（")[0]


def code_of(member: str, word: str) -> str:
    """The code that a word of a cell means; the word itself where it means none."""
    codes = CODES.get(member)
    if codes is None:
        return word
    key = plain(word)
    if key in codes:
        return codes[key]
    bare = key.removeprefix("ogc").removesuffix("服务")
    known = {code.replace("_", ""): code for code in codes.values()}
    return codes.get(bare) or known.get(key) or known.get(bare) or word
