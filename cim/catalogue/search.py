"""What a search in Chinese and English looks for."""

import re

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(f"[{_HAN}]+|[^{_HAN}\\s]+")


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
