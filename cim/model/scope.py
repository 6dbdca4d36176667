"""What a caller may see. One predicate per row rule is ANDed outside whatever the client sent."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Scope:
    """`area_code`: rows outside this area do not exist for the caller. `hidden`: properties that do not.

    `collections`: the ids of those that exist for the caller, None for all.

    `roles`: of `reader`, `admin`. The anonymous caller has none. `caller`: who it is, as records of changes name it.
    """

    roles: frozenset[str] = frozenset()
    area_code: str | None = None
    hidden: frozenset[str] = field(default_factory=frozenset)
    caller: str = ""
    collections: frozenset[str] | None = None

    @property
    def is_admin(self) -> bool:
        """May register services, load data and read what is not published."""
        return "admin" in self.roles

    def sees(self, collection_id: str) -> bool:
        """True where the collection exists for the caller."""
        return self.collections is None or collection_id in self.collections


EVERYTHING = Scope(roles=frozenset({"admin", "reader"}))
