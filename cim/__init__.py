"""OpenCIM's core: what a city is made of, how it is asked, and where it is kept.

`cim` imports neither `api` nor `loaders`; only its command line (`cim.cli`) wires the three together.
"""

__version__ = "0.1.0"
