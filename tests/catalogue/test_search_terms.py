"""What a search in Chinese and English is taken apart into."""

import pytest

from cim.catalogue.search import search_terms


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", ()), ("  \t", ()), ("old  maps", ("old", "maps")), ("图", ("图",)), ("影像", ("影像",)),
        ("老地图", ("老地", "地图")), ("BIM模型服务", ("BIM", "模型", "型服", "服务")), ("CIM 3级", ("CIM", "3", "级")),
        ("maps maps", ("maps",)), ("100%_x", ("100%_x",)), ("𠮷野家", ("𠮷野", "野家")),
    ],
)  # fmt: skip
def test_words_stay_words_and_chinese_runs_become_pairs(text: str, terms: tuple[str, ...]) -> None:
    assert search_terms(text) == terms
