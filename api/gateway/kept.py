"""Answers of upstreams kept in the memory of a worker, least lately used out first, as long as their own rules let them."""

import time
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

from cim.gateway.freshness import Keeping
from cim.gateway.headers import Fields

MAX_BODY = 4 * 1024**2
"""Longer answers are not kept."""
MAX_VARIANTS = 8
OVERHEAD_BYTES = 2_000


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer 200 as callers get it. `chosen_by`: the caller's fields that it was chosen by (RFC 9111, 4.1).

    `made_at`, `fresh_until`: of the monotonic clock, in seconds. `validators`: fields that ask the upstream whether it changed.
    """

    fields: Fields
    body: bytes
    chosen_by: tuple[tuple[bytes, bytes | None], ...]
    validators: Fields
    made_at: float
    fresh_until: float

    @property
    def is_fresh(self) -> bool:
        """True while it is sent without asking."""
        return time.monotonic() < self.fresh_until

    def suits(self, sent: Mapping[bytes, bytes]) -> bool:
        """True for a call whose fields are those that it was chosen by."""
        return all(sent.get(name) == value for name, value in self.chosen_by)

    def again(self, keeping: Keeping) -> "KeptAnswer":
        """The same, fresh anew since the upstream said that it did not change."""
        now = time.monotonic()
        return replace(self, made_at=now, fresh_until=now + keeping.fresh_s)


class Kept:
    """The answers of one worker, by service, version and address."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[Hashable, list[KeptAnswer]] = OrderedDict()

    def find(self, key: Hashable, sent: Mapping[bytes, bytes]) -> KeptAnswer | None:
        """The answer for a call that sends those fields, fresh or not."""
        variants = self._kept.get(key)
        if variants is None:
            return None
        self._kept.move_to_end(key)
        return next((one for one in variants if one.suits(sent)), None)

    def put(self, key: Hashable, answer: KeptAnswer) -> None:
        """Keep an answer in place of the one that was chosen by the same fields."""
        if not self._max_bytes or _size(answer) > min(MAX_BODY, self._max_bytes):
            return
        variants = self._kept.pop(key, [])
        self._bytes -= sum(map(_size, variants))
        variants = [answer, *(one for one in variants if one.chosen_by != answer.chosen_by)][:MAX_VARIANTS]
        self._kept[key] = variants
        self._bytes += sum(map(_size, variants))
        while self._bytes > self._max_bytes:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= sum(map(_size, gone))


def _size(answer: KeptAnswer) -> int:
    return OVERHEAD_BYTES + len(answer.body) + sum(len(name) + len(value) for name, value in answer.fields)
