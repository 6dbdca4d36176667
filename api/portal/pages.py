"""Every page of the portal that has an address of its own; the map is at `/`, the shelf's are the catalogue's HTML."""

from api.portal import (
    applying,
    desk_applications,
    desk_compare,
    desk_grants,
    desk_keys,
    desk_me,
    desk_meters,
    desk_organisations,
    desk_overview,
    desk_people,
    desk_prices,
    desk_register,
    desk_reviews,
    desk_scenarios,
    desk_services,
    desk_settlements,
    loads,
)

PAGES = (
    *applying.ROUTES,
    *desk_overview.ROUTES,
    *desk_me.ROUTES,
    *desk_register.ROUTES,
    *desk_services.ROUTES,
    *desk_compare.ROUTES,
    *desk_reviews.ROUTES,
    *loads.ROUTES,
    *desk_applications.ROUTES,
    *desk_grants.ROUTES,
    *desk_keys.ROUTES,
    *desk_scenarios.ROUTES,
    *desk_meters.ROUTES,
    *desk_settlements.ROUTES,
    *desk_prices.ROUTES,
    *desk_people.ROUTES,
    *desk_organisations.ROUTES,
)
"""Plain routes; one file of pages adds one name here."""
