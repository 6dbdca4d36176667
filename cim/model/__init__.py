"""What the city is made of: values without I/O."""

from cim.model.collection import Collection, Extent, Kind, Property
from cim.model.scope import EVERYTHING, Scope

__all__ = ["EVERYTHING", "Collection", "Extent", "Kind", "Property", "Scope"]
