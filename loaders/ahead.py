"""The next batch is read while the one before is checked: both are work of native libraries, on two cores."""

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Made(Generic[T]):
    item: T


@dataclass(frozen=True, slots=True)
class _Over:
    error: BaseException | None = None


def ahead(items: Iterator[T]) -> Iterator[T]:
    """`items` in their order, the next one being made by a thread meanwhile. What they raise is raised at its place."""
    made: queue.Queue[_Made[T] | _Over] = queue.Queue(1)

    def make() -> None:
        try:
            for item in items:
                made.put(_Made(item))
            made.put(_Over())
        except BaseException as error:
            made.put(_Over(error))

    threading.Thread(target=make, name="read-ahead", daemon=True).start()
    while isinstance(step := made.get(), _Made):
        yield step.item
    if step.error is not None:
        raise step.error
