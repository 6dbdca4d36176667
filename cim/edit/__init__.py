"""Features as a client writes them, checked against what the collection declares; pure."""
