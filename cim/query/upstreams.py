"""Statements of the gateway: what a call needs to know of its service, and the sealed credentials of upstreams."""

from cim.sql import Sql


def called_sql(service_id: str) -> Sql:
    """The row of a service in whatever state, with the sealed credential of its upstream."""
    return Sql.of(
        "SELECT s.id, s.state, s.kind, s.organisation_id, s.share_class, s.version, s.collection_id, "
        "s.endpoints::text AS endpoints, k.sealed, "
        "EXISTS (SELECT FROM cim.node AS n WHERE n.id = s.harvest_id) AS is_node FROM cim.service AS s "
        "LEFT JOIN cim.service_secret AS k ON k.service_id = s.id WHERE s.id = {}",
        service_id,
    )


def put_secret_sql(service_id: str, sealed: bytes, set_by: str) -> Sql:
    """Write the credential of a service's upstream anew."""
    return Sql.of(
        "INSERT INTO cim.service_secret (service_id, sealed, set_by) VALUES ({}, {}, {}) "
        "ON CONFLICT (service_id) DO UPDATE SET sealed = EXCLUDED.sealed, set_by = EXCLUDED.set_by, set_at = now()",
        service_id,
        sealed,
        set_by,
    )


def secret_set_sql(service_id: str) -> Sql:
    """When and by whom a credential was set; no row where none is."""
    return Sql.of("SELECT set_at, set_by FROM cim.service_secret WHERE service_id = {}", service_id)


def delete_secret_sql(service_id: str) -> Sql:
    """Forget the credential; no row where none was set."""
    return Sql.of("DELETE FROM cim.service_secret WHERE service_id = {} RETURNING service_id", service_id)


def forget_secrets_sql(harvest_id: str) -> Sql:
    """Forget the credentials of all services that a harvest or a node brought."""
    return Sql.of(
        "DELETE FROM cim.service_secret WHERE service_id IN (SELECT id FROM cim.service WHERE harvest_id = {})",
        harvest_id,
    )
