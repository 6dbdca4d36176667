"""The `cim` program: the one part of `cim` that wires `api` and `loaders` (docs/decisions/0004)."""
