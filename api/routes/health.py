"""Running it: is the process alive, may it get requests, what does it count."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of
from api.metrics import CONTENT_TYPE
from cim.errors import Unavailable

router = APIRouter()


async def live(_: Request) -> Response:
    """200 while the process runs."""
    return Response(b'{"status":"ok"}', media_type="application/json", headers={"Cache-Control": "no-store"})


async def ready(request: Request) -> Response:
    """200 while requests may be sent here; 503 before draining and while the database is away."""
    context = context_of(request)
    if context.is_draining:
        raise Unavailable("this process is stopping")
    if not (context.registry.is_loaded and await context.database.is_ready()):
        raise Unavailable("the database cannot answer now; try again in a few seconds")
    return Response(b'{"status":"ready"}', media_type="application/json", headers={"Cache-Control": "no-store"})


async def metrics(request: Request) -> Response:
    """Prometheus text."""
    context = context_of(request)
    spooled = 0 if context.meter is None else context.meter.spool.used_bytes
    return Response(context.metrics.render(spooled), headers={"Content-Type": CONTENT_TYPE})


router.add_route("/health/live", live, methods=["GET"])
router.add_route("/health/ready", ready, methods=["GET"])
router.add_route("/metrics", metrics, methods=["GET"])
