"""The template that publishers fill in: headings of the table, an example, and what each column takes."""

import io
from collections.abc import Iterable, Mapping
from typing import Any

from cim.catalogue.service import FOR_THE_SHELF, KINDS, SHARE_CLASSES, UPDATE_CYCLES
from cim.catalogue.table import table_rows
from cim.catalogue.words import HEADINGS, TITLES
from cim.cells import BOM, csv_rows, inert
from cim.errors import SetupProblem

EXAMPLE: Mapping[str, Any] = {
    "id": "planning-landuse-wms",
    "title_zh": "土地利用规划图",
    "title_en": "Land use plan",
    "kind": "wms",
    "description_zh": "全市土地利用规划图，按年更新。",
    "description_en": "Land use plan of the city, renewed yearly.",
    "themes": ["planning"],
    "endpoints": [{"url": "https://maps.example.org/wms", "kind": "wms"}],
    "share_class": "conditional",
    "cim_level": 2,
    "area_code": "440300",
    "bbox": [113.75, 22.4, 114.62, 22.87],
    "licence": "CC-BY-4.0",
    "contact": "gis@planning.example.org",
    "update_cycle": "yearly",
}
_CLOSED = {"kind": tuple(KINDS), "share_class": SHARE_CLASSES, "update_cycle": UPDATE_CYCLES}
_LAST_ROW = 10_000


def csv_template(services: Iterable[Mapping[str, Any]] = (EXAMPLE,)) -> bytes:
    """The table as CSV (UTF-8 with a byte order mark, as spreadsheets want it)."""
    return BOM + csv_rows(table_rows(services))


def xlsx_template(services: Iterable[Mapping[str, Any]] = (EXAMPLE,)) -> bytes:
    """The table as XLSX, with lists to choose from and a second sheet that explains the columns."""
    try:
        import xlsxwriter
    except ImportError as error:
        raise SetupProblem("spreadsheets need the package xlsxwriter: pip install 'opencim[load]'") from error
    sink = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(sink, options) as workbook:
        bold, text = workbook.add_format({"bold": True}), workbook.add_format({"num_format": "@"})
        sheet = workbook.add_worksheet("服务")
        sheet.set_column(0, len(TITLES) - 1, 22, text)
        for number, row in enumerate(table_rows(services)):
            for place, cell in enumerate(row):
                sheet.write_string(number, place, inert(cell), bold if number == 0 else text)
        sheet.freeze_panes(1, 2)
        for place, name in enumerate(TITLES):
            if name in _CLOSED:
                rule = {"validate": "list", "source": list(_CLOSED[name]), "error_type": "warning"}
                sheet.data_validation(1, place, _LAST_ROW, place, rule)
        _explain(workbook.add_worksheet("说明 Notes"), bold)
    return sink.getvalue()


def _explain(sheet: Any, bold: Any) -> None:
    sheet.set_column(0, 3, 40)
    for place, cell in enumerate(("列 Column", "成员 Member", "上架必填 For the shelf", "取值 Values")):
        sheet.write_string(0, place, cell, bold)
    for number, (name, title) in enumerate(TITLES.items(), 1):
        needed = "是 yes" if name in (*FOR_THE_SHELF, "id", "kind") else ""
        values = ", ".join(_CLOSED.get(name, ())) or f"也可写作 also: {HEADINGS[name].replace(' ', ' · ')}"
        for place, cell in enumerate((title, name, needed, values)):
            sheet.write_string(number, place, cell)
