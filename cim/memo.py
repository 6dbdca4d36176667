"""What a worker has lately asked the database, good for a while and then asked again."""

import math
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


EARLY_S = 0.5
"""Who looks for what is good for no longer than this asks again."""


@dataclass(slots=True, eq=False)
class Known(Generic[Value]):
    """A value made of `facts`, good until an instant of `time.monotonic`.

    Asked again with the same facts it is the same object, good for longer; whatever rests on it goes on being good with it.
    Else another takes its place, and this one is never good again.
    """

    value: Value
    facts: object
    until: float
    is_asked_again: bool = False

    def wants_asking(self, now: float) -> bool:
        """True for the one of all who use it that is to ask again before it ends, so that not all of them have to."""
        if self.is_asked_again or self.until - EARLY_S > now:
            return False
        self.is_asked_again = True
        return True


class Memo(Generic[Key, Value]):
    """At most `most` values, each good for `ttl_s`."""

    def __init__(self, ttl_s: float, most: int) -> None:
        self._ttl_s, self._most = ttl_s, most
        self._known: dict[Key, Known[Value]] = {}

    def good(self, key: Key) -> Known[Value] | None:
        """What is known and good now, and for `EARLY_S` to come."""
        known = self._known.get(key)
        return known if known is not None and known.until - EARLY_S > time.monotonic() else None

    def last(self, key: Key) -> Known[Value] | None:
        """What was known last, be it good or not."""
        return self._known.get(key)

    def keep(self, key: Key, facts: object, make: Callable[[], Value], *, most_s: float = math.inf) -> Value:
        """Note what was asked now; the value known before where its facts are the same. `most_s`: for no longer than that."""
        until = time.monotonic() + min(self._ttl_s, most_s)
        former = self._known.get(key)
        if former is not None and former.facts == facts:
            former.until, former.is_asked_again = until, False
            return former.value
        self.forget(key)
        if len(self._known) >= self._most:
            self._known.clear()
        made = self._known[key] = Known(make(), facts, until)
        return made.value

    def forget(self, key: Key) -> None:
        """Ask for it again."""
        former = self._known.pop(key, None)
        if former is not None:
            former.until = 0.0
