"""Who took a service off the shelf, by rank: what the city suspended an organisation does not resume.

Revision ID: 0020
"""

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """The column; what the node's own rule of health suspended is the city's."""
    op.get_bind().exec_driver_sql("SET LOCAL lock_timeout = '30s'")
    op.get_bind().exec_driver_sql("ALTER TABLE cim.service ADD COLUMN off_rank integer")
    op.get_bind().exec_driver_sql(
        "COMMENT ON COLUMN cim.service.off_rank IS 'of who took it off the shelf: 1 the organisation, 2 the district, 3 the city'"
    )
    op.get_bind().exec_driver_sql(
        "UPDATE cim.service AS s SET off_rank = 3 FROM cim.service_health AS h "
        "WHERE h.service_id = s.id AND h.is_suspended_here AND s.state = 'suspended'"
    )
