"""The HTTP side of OpenCIM: request → parse → plan (`cim.query`) → run (`cim.db.pool`) → bytes."""
