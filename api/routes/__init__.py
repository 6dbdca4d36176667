"""One file a resource; `ROUTERS` is all of them, the hottest first (routes are tried in this order)."""

from api.routes import aggregate, collections, description, health, items, landing, tiles

ROUTERS = (
    items.router,
    tiles.router,
    aggregate.router,
    collections.router,
    landing.router,
    description.router,
    health.router,
)
