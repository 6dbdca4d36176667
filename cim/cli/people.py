"""`cim people …`: the first organisation, its people and keys, made on the machine itself."""

import secrets
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import orjson
import psycopg
import typer
from rich.markup import escape

from cim.cli.output import console, table
from cim.errors import Conflict, NotFound
from cim.settings import Settings
from cim.sql import Sql

app = typer.Typer(no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="machine-readable output")]


def _row(connection: psycopg.Connection[Any], sql: Sql) -> Any:
    text, values = sql.compile_psycopg()
    cursor = connection.execute(text.encode(), values)
    return cursor.fetchone() if cursor.description else None


def _say(facts: dict[str, Any], line: str, as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(facts) + b"\n")
    else:
        console().print(escape(line), soft_wrap=True)


def _note(connection: psycopg.Connection[Any], event: str, kind: str, subject_id: str, detail: dict[str, Any]) -> None:
    from cim.query.audit import Entry, append_sql

    owner = detail.get("organisation_id", subject_id)
    entry = Entry("cim people, on the machine", event, kind, subject_id, owner, detail=detail)
    _row(connection, append_sql([entry]))


@app.command()
def organisation(
    organisation_id: Annotated[str, typer.Argument(help="id: letters, digits, '.', '_' and '-'")],
    name: Annotated[str, typer.Option(help="its name")],
    area: Annotated[str | None, typer.Option(help="division code of its district; none for the city's own")] = None,
    as_json: AsJson = False,
) -> None:
    """Make an organisation. Example: cim people organisation water --name 水务局 --area 440305"""
    from cim.db.connect import connect, database
    from cim.people.document import checked_organisation
    from cim.query.people import insert_organisation_sql

    values = checked_organisation({"id": organisation_id, "name_zh": name, "name_en": name, "area_code": area})
    with database(Settings()) as url, connect(url) as connection, connection.transaction():
        if _row(connection, insert_organisation_sql(values)) is None:
            raise Conflict(f"an organisation '{values['id']}' exists already")
        _note(connection, "organisation made", "organisation", values["id"], values)
    _say(values, f"{values['id']} is made", as_json)


@app.command()
def add(
    login: Annotated[str, typer.Argument(help="what they log in with")],
    organisation: Annotated[str, typer.Option(help="id of their organisation")],
    duties: Annotated[
        str, typer.Option(help="publisher, reviewer, org_admin, district_admin, city_admin; commas")
    ] = "",
    area: Annotated[str | None, typer.Option(help="district of a district_admin")] = None,
    name: Annotated[str | None, typer.Option(help="their name")] = None,
    as_json: AsJson = False,
) -> None:
    """Make somebody; prints once the invitation by which they set a password.

    Example: cim people add mayor --organisation city --duties city_admin
    """
    from cim.db.connect import connect, database
    from cim.db.keys import digest_of
    from cim.people.document import checked_person
    from cim.people.rights import check_district
    from cim.query.people import insert_person_sql, invite_sql, organisation_in_force_sql

    settings = Settings()
    asked = {"login": login, "organisation_id": organisation, "area_code": area, "name": name or login}
    values = checked_person({**asked, "duties": [one.strip() for one in duties.split(",") if one.strip()]})
    check_district(values["duties"], values["area_code"])
    token = f"inv_{secrets.token_urlsafe(24)}"
    ends = datetime.now(UTC) + timedelta(seconds=settings.invitation_s)
    with database(settings) as url, connect(url) as connection, connection.transaction():
        if _row(connection, organisation_in_force_sql(organisation)) is None:
            raise NotFound("organisation", organisation)
        if _row(connection, insert_person_sql(values)) is None:
            raise Conflict(f"somebody has the login '{values['login']}' already")
        _row(connection, invite_sql(values["id"], digest_of(token), ends))
        _note(connection, "person made", "person", values["id"], values)
    line = f"{values['login']} is made ({values['id']}); they set a password at {settings.public_url}/invitation with {token}"
    _say({"id": values["id"], "login": values["login"], "invitation": token}, line, as_json)


@app.command()
def key(
    organisation: Annotated[str, typer.Option(help="id of the organisation that it acts for")],
    duties: Annotated[str, typer.Option(help="duties of the key, comma separated")] = "",
    label: Annotated[str, typer.Option(help="what it is for")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a key of an organisation; it is shown once. Example: cim people key --organisation water --duties org_admin"""
    from cim.db.connect import connect, database
    from cim.db.keys import Owner, create_key
    from cim.db.rights import Rights
    from cim.model.scope import DUTIES
    from cim.people.members import some_of
    from cim.query.people import organisation_in_force_sql

    given = some_of("duties", [one.strip() for one in duties.split(",") if one.strip()], DUTIES)
    with database(Settings()) as url, connect(url) as connection, connection.transaction():
        if _row(connection, organisation_in_force_sql(organisation)) is None:
            raise NotFound("organisation", organisation)
        made = create_key(connection, Rights(), label=label, owner=Owner(organisation, None, tuple(given)))
        facts = {"organisation_id": organisation, "duties": given, "label": label}
        _note(connection, "key made", "key", made[:12], facts)
    _say({"key": made, **facts}, made, as_json)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List people. Example: cim people list"""
    from cim.db.connect import connect, database
    from cim.query.people import PEOPLE

    text, values = PEOPLE.page([], None, 100_000).compile_psycopg()
    with database(Settings()) as url, connect(url) as connection:
        cursor = connection.cursor(row_factory=psycopg.rows.dict_row)
        found = cursor.execute(text.encode(), values).fetchall()
    shown = ("id", "login", "name", "organisation_id", "duties", "area_code", "state")
    if as_json:
        sys.stdout.buffer.write(orjson.dumps([{name: row[name] for name in shown} for row in found]) + b"\n")
        return
    rows = table(*shown)
    for row in found:
        rows.add_row(*(escape(", ".join(row[n]) if n == "duties" else str(row[n] or "")) for n in shown))
    console().print(rows)
