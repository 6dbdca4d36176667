"""The built-in collections, one declaration a file. A new one is one file and one line here."""

from cim.collections.areas import AREAS
from cim.collections.buildings import BUILDINGS
from cim.collections.cameras import CAMERAS
from cim.collections.imagery import IMAGERY
from cim.collections.sensors import SENSORS

BUILTIN = (BUILDINGS, AREAS, SENSORS, CAMERAS, IMAGERY)
