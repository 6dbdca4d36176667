"""One file a resource; `ROUTERS` is all of them, the hottest first (routes are tried in this order)."""

from api.routes import (
    aggregate,
    catalogue,
    changes,
    collections,
    description,
    edit,
    exports,
    feed,
    functions,
    health,
    items,
    keys,
    landing,
    loads,
    stac,
    tiles,
)

ROUTERS = (
    items.router,
    tiles.router,
    aggregate.router,
    edit.router,
    changes.router,
    exports.router,
    feed.router,
    collections.router,
    landing.router,
    stac.router,
    catalogue.router,
    loads.router,
    keys.router,
    description.router,
    functions.router,
    health.router,
)
