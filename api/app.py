"""`create_app`: the one place where settings, database, registry, middleware and routes are wired."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from fastapi import APIRouter, FastAPI
from starlette.routing import Route
from starlette_compress import CompressMiddleware, add_compress_type

from api import problems
from api.callers import Callers
from api.compression import compression_options
from api.context import Context
from api.direct import Application, Doors, Endpoint
from api.export_jobs import Exports
from api.facet_cache import FacetCache
from api.gateway.door import Gateway
from api.hot import HotAnswers
from api.intake_jobs import IntakeJobs
from api.jobs import Runner
from api.keeper import Keeper
from api.metrics import Metrics
from api.middleware import BodyLimit, Border
from api.oidc import Issuer
from api.passwords import Passwords
from api.portal.frame import mount_static
from api.portal.pages import PAGES
from api.reminders import Reminders
from api.routes import ROUTERS
from api.security import Keys, tell_slips
from api.sessions import Sessions
from api.tile_cache import TileCache
from api.uploads import Store
from cim.catalogue.deadline import calendar_of, working_days_of
from cim.crs import CrsList, parse_codes
from cim.db.kept_texts import KeptTexts
from cim.db.pool import Database
from cim.db.registry import Registry
from cim.db.stamps import Stamps
from cim.db.together import Together
from cim.errors import SetupProblem
from cim.metering.meter import Meter
from cim.settings import Settings

_COMPRESSED = (
    "application/geo+json",
    "application/geo+json-seq",
    "application/vnd.ogc.fg+json",
    "text/csv",
    "application/problem+json",
    "application/schema+json",
    "application/vnd.mapbox-vector-tile",
    "application/vnd.oai.openapi+json",
)


def _include(app: FastAPI, context: Context, router: APIRouter) -> None:
    """Add a router. One of plain Starlette routes is added route by route: FastAPI's inclusion costs as much as a query."""
    plain = [route for route in router.routes if type(route) is Route]
    if len(plain) < len(router.routes):
        app.include_router(router)
        return
    app.router.routes.extend(plain)
    context.templates.update({route.endpoint: route.path for route in plain})


def _context(settings: Settings, database: Database, tiles: TileCache, meter: Meter) -> Context:
    """What the handlers of an application share."""
    store = Store(settings)
    callers = Callers(
        Keys(database, settings), Sessions(database, settings), Issuer(database, settings), Passwords(database)
    )
    return Context(
        settings,
        database,
        Registry(database),
        Metrics(),
        store,
        Runner(database, settings, store),
        IntakeJobs(database, settings, store),
        Exports(database, settings),
        CrsList(parse_codes(settings.crs)),
        tiles,
        FacetCache(database),
        callers,
        Together(database),
        meter=meter,
    )


def _lifespan(
    context: Context, meter: Meter, gateway: Gateway
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Opens what an application needs in this order, and closes it the other way round."""
    database, settings = context.database, context.settings
    keeper = Keeper(database, settings)
    texts = KeptTexts(database, context.registry, lambda: keeper.leads, is_wanted=settings.keep_texts)
    reminders = Reminders(database, settings)
    parts = (
        database,
        context.registry,
        context.runner,
        context.intake,
        context.exports,
        keeper,
        texts,
        meter,
        reminders,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as opened:
            for part in parts:
                await part.open()
                opened.push_async_callback(part.close)
            opened.push_async_callback(gateway.close)
            if context.registry.is_loaded:
                tell_slips(settings, context.registry)
            yield

    return lifespan


def create_app(settings: Settings) -> FastAPI:
    """The application over `settings.database_url`; nothing is opened before it starts.

    Raises SetupProblem when no database is named (`cim serve` names the embedded one).
    """
    if not settings.database_url:
        raise SetupProblem("the API needs a database: start it by `cim serve`, or set DATABASE_URL")
    calendar_of(settings)  # a setting that cannot be read is told now
    working_days_of(settings)
    database = Database(settings)
    stamps, meter = Stamps(database), Meter(settings, database)
    context = _context(settings, database, TileCache(stamps, settings.tile_cache_bytes), meter)
    gateway = Gateway(settings, database, meter)
    app = Application(
        title="OpenCIM",
        version="0.1.0",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan(context, meter, gateway),
        redirect_slashes=False,
    )
    app.state.settings = settings
    app.context = app.state.context = context
    app.gateway = gateway
    app.state.descriptions = {}
    problems.install(app)
    for router in ROUTERS:
        _include(app, context, router)
    _include(app, context, APIRouter(routes=list(PAGES)))
    mount_static(app)
    for media_type in _COMPRESSED:
        add_compress_type(media_type)
    app.add_middleware(CompressMiddleware, **compression_options())
    app.add_middleware(BodyLimit, context=context)
    app.add_middleware(Border, context=context)
    app.doors = Doors(route for route in app.routes if type(route) is Route)
    compressed = CompressMiddleware(Endpoint.respond, **compression_options())
    border = Border(BodyLimit(Endpoint(app, compressed), context=context), context=context)
    app.short_way, app.hot = border, HotAnswers(context.tiles, stamps, context.registry, border, context.callers, meter)
    return app
