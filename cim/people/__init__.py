"""Organisations and people: what is taken of them, and who may change what."""
