"""Every page of the portal that has an address of its own; the map is at `/`, the shelf's are the catalogue's HTML."""

from api.portal import desk

PAGES = (*desk.ROUTES,)
"""Plain routes; one file of pages adds one name here."""
