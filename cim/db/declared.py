"""Every declared table: a module of tables is one line here."""

from cim.db import catalogue_tables, intake_tables, ledger_tables, people_tables, tables
from cim.db.schema import metadata

MODULES = (tables, catalogue_tables, ledger_tables, intake_tables, people_tables)

__all__ = ["metadata"]
