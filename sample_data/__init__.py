"""The sample city: a deterministic, invented, Shenzhen-like city and the small files that show each format.

Nothing here is copied from real data. Codes follow the 4403… scheme, with districts 440351 and up, which no
real district has. Coordinates are EPSG:4326 (CGCS2000 agrees to centimetres).
"""
