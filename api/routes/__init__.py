"""One file a resource; `ROUTERS` is all of them, the hottest first (routes are tried in this order)."""

from api.routes import health, landing

ROUTERS = (
    landing.router,
    health.router,
)
