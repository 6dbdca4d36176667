"""What a search in Chinese and English looks for."""

import re
import unicodedata

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(f"[{_HAN}]+|[^{_HAN}\\s]+")
_ONE_RUN = re.compile(f"[{_HAN}]{{1,4}}|[^{_HAN}\\s\x01-\x20]{{1,32}}")
"""No longer than what the database keeps of each place (`cim.runs`: 4 Chinese characters, 40 of others, room for folding)."""


def search_terms(text: str) -> tuple[str, ...]:
    """Pieces that must all occur: words, and of a run of Chinese characters each pair of neighbours.

    Chinese has no spaces: 南山影像 also finds 南山区的山影影像. A single character and a pair stay as they are;
    text without any word gives none.
    """
    terms: list[str] = []
    for run in _RUN.findall(text):
        is_han = re.match(f"[{_HAN}]", run) is not None
        terms += [run[at : at + 2] for at in range(len(run) - 1)] if is_han and len(run) > 2 else [run]
    return tuple(dict.fromkeys(terms))


def is_one_run(term: str) -> bool:
    """True for a term that the index of words answers alone: no space, all Chinese or none, and short."""
    return _ONE_RUN.fullmatch(unicodedata.normalize("NFKC", term)) is not None
