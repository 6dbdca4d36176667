"""What a harvester is: it knows its documents, and reads them into what is found there."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cim.catalogue.harvest.document import Document
from cim.catalogue.harvest.found import Found, Unusable

Fetch = Callable[[str], Document]
"""Gets another document of the source under the URL policy and the run's budget; raises CimError."""


@dataclass(frozen=True, slots=True)
class Harvester:
    """`query`: what an address is asked with where it asks nothing itself; `is_ours`: whether it can read a document;
    `read`: what is in it, in its order, more documents fetched where there is something to fetch with."""

    kind: str
    query: str
    is_ours: Callable[[Document], bool]
    read: Callable[[Document, Fetch | None], Iterator[Found | Unusable]]
