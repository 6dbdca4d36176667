"""Every page of the portal that has an address of its own; the map is at `/`, the shelf's are the catalogue's HTML."""

from api.portal import applying, desk, desk_compare, desk_register, desk_reviews, desk_services, loads

PAGES = (
    *applying.ROUTES,
    *desk.ROUTES,
    *desk_compare.ROUTES,
    *desk_register.ROUTES,
    *desk_reviews.ROUTES,
    *desk_services.ROUTES,
    *loads.ROUTES,
)
"""Plain routes; one file of pages adds one name here."""
