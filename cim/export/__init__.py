"""Files of a collection's features: written by a process of its own, with memory that does not grow with the rows."""
