"""What a caller may see and change. One predicate per row rule is ANDed outside whatever the client sent."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Scope:
    """`area_code`: rows outside this area do not exist for the caller, nor those without a code. `precision_m`: places
    are told by the cell of a grid of this many metres. `hidden`: properties that do not exist, by name or
    `collection.name`.

    `collections`: the ids of those that exist for the caller, None for all.

    `roles`: of `reader`, `editor`, `admin`, and of `DUTIES` in the catalogue. The anonymous caller has none. `caller`: who it
    is, as records of changes name it. `organisation_id`: whom the caller acts for; None for no organisation. `person_id`: who
    logged in, or made the key. `key_prefix`: of the key that was sent. `services`: ids of those that may be called, None for
    all that the organisation may. `grant_id`: the grant whose conditions its calls have.
    """

    roles: frozenset[str] = frozenset()
    area_code: str | None = None
    hidden: frozenset[str] = field(default_factory=frozenset)
    caller: str = ""
    collections: frozenset[str] | None = None
    precision_m: float | None = None
    organisation_id: str | None = None
    person_id: str | None = None
    key_prefix: str | None = None
    services: frozenset[str] | None = None
    grant_id: int | None = None

    @property
    def is_admin(self) -> bool:
        """May register services, load data and read what is not published."""
        return "admin" in self.roles

    @property
    def is_city(self) -> bool:
        """True for whoever acts for the whole city."""
        return self.is_admin or "city_admin" in self.roles

    @property
    def is_editor(self) -> bool:
        """May change features of some collections in some area; an admin may in all."""
        return "editor" in self.roles

    def sees(self, collection_id: str) -> bool:
        """True where the collection exists for the caller."""
        return self.collections is None or collection_id in self.collections

    def hides(self, collection_id: str, name: str) -> bool:
        """True where the property of that collection does not exist for the caller."""
        return name in self.hidden or f"{collection_id}.{name}" in self.hidden

    def hides_some(self, collection_id: str) -> bool:
        """True where anything is hidden that this collection may hold, be it among the fields no property took."""
        return any("." not in name or name.startswith(f"{collection_id}.") for name in self.hidden)

    def may_edit(self, collection_id: str) -> bool:
        """True where the caller may change features of the collection, within `covers`; what is masked cannot be edited."""
        sees_whole = self.precision_m is None and not self.hides_some(collection_id)
        return self.is_editor and self.sees(collection_id) and sees_whole

    def covers(self, area_code: str | None) -> bool:
        """True where a row of that code is within the caller's area: what `row_rule` says in SQL. A row without one is in none."""
        return self.area_code is None or (area_code is not None and area_code.startswith(self.area_code))


DUTIES = ("publisher", "reviewer", "org_admin", "district_admin", "city_admin")
"""What a caller may do in the catalogue, in their own organisation or, as a city admin, in all."""

_ROLES = {
    "reader": frozenset({"reader"}),
    "editor": frozenset({"reader", "editor"}),
    "admin": frozenset({"reader", "editor", "admin", *DUTIES}),
}
ROLES = tuple(_ROLES)


def roles_of(role: str) -> frozenset[str]:
    """What a key of that role may act as: each role includes those before it in `ROLES`."""
    return _ROLES[role]


EVERYTHING = Scope(roles=_ROLES["admin"])
