"""Invented Chinese names with their pinyin, composed from syllables."""

import numpy as np

HEADS = (
    "澜Lan 翠Cui 云Yun 锦Jin 鹭Lu 梧Wu 青Qing 碧Bi 丹Dan 凤Feng 鹤He 松Song 桂Gui 榕Rong 栗Li 石Shi 沙Sha 银Yin 观Guan "
    "望Wang 长Chang 平Ping 永Yong 安An 泰Tai 康Kang 麒Qi 雁Yan 棠Tang 莲Lian 星Xing 朗Lang 承Cheng 景Jing 宁Ning 秀Xiu "
    "映Ying 海Hai 葵Kui 茂Mao 崇Chong 逸Yi 瑞Rui 文Wen"
)
TAILS = (
    "湾wan 岭ling 溪xi 港gang 洲zhou 塘tang 浦pu 泽ze 坪ping 澳ao 湖hu 桥qiao 林lin 山shan 坑keng 涌chong 围wei 田tian "
    "头tou 墩dun 渡du 屿yu 埠bu 峰feng 台tai 门men"
)
CITY = ("澜湾市", "Lanwan")

Name = tuple[str, str]
"""A name in Chinese and in English letters."""


def _syllables(words: str) -> list[Name]:
    return [(word[0], word[1:]) for word in words.split()]


def _joined(head: Name, tail: Name) -> Name:
    apostrophe = "'" if tail[1][0] in "aeo" else ""
    return head[0] + tail[0], head[1] + apostrophe + tail[1]


POOL: tuple[Name, ...] = tuple(
    _joined(head, tail) for head in _syllables(HEADS) for tail in _syllables(TAILS) if head[1].lower() != tail[1]
)
"""Every two-syllable place name, more than the areas of the largest city."""


def shuffled(random: np.random.Generator) -> list[Name]:
    """The pool without the city's own name, in an order that `random` decides."""
    own = CITY[0][:2]
    return [POOL[i] for i in random.permutation(len(POOL)) if POOL[i][0] != own]
