"""The catalogue of data services: what an organisation offers, its metadata, and its life on the shelf (上架)."""
