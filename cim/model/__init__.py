"""What the city is made of: values without I/O."""

from cim.model.collection import Collection, Extent, Kind, Property
from cim.model.scope import EVERYTHING, ROLES, Scope, roles_of

__all__ = ["EVERYTHING", "ROLES", "Collection", "Extent", "Kind", "Property", "Scope", "roles_of"]
