"""PostGIS: the embedded cluster, tables, migrations, writing and reading."""
