"""One server for the files of this folder that need no settings of their own: what a test registers has an id of its own.

Such a file says `running, module_database_url = shared.running, shared.module_database_url`: they stand for those of the same name.
"""

import pytest

from tests.conftest import Server


@pytest.fixture(scope="module")
def module_database_url(shared_database_url: str) -> str:
    """The database that the files share."""
    return shared_database_url


@pytest.fixture(scope="module")
def running(shared_server: Server) -> Server:
    """The server over it."""
    return shared_server
