"""Keep heavy packages out of a process that can do without them."""

import sys


class _Without:
    """An importer in front of all others that finds none of some packages."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Raise ImportError for those, leave the rest to the other importers."""
        if name.partition(".")[0] in self._names:
            raise ImportError(name)


def hide(*names: str) -> None:
    """Make this process behave as if the packages were not installed."""
    sys.meta_path.insert(0, _Without(frozenset(names)))
