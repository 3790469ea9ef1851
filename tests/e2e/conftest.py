"""A server that runs, a client of it, and a folder of images that both can read."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from haste_client import HasteClient
from tests.e2e.plates import write_image
from tests.e2e.server_process import ServerProcess, running_server


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the server's root ``nas`` names."""
    return tmp_path_factory.mktemp("nas")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[ServerProcess]:
    """Return a server with workers of its own, one for all tests of a file."""
    with running_server(tmp_path_factory.mktemp("server") / "data", "--root", f"nas={root}") as started:
        started.wait_until_ready()
        yield started


@pytest.fixture
def client(server: ServerProcess, root: Path) -> Iterator[HasteClient]:
    """Return a client of the server that names images by the same root."""
    with HasteClient(server.url, roots={"nas": root}) as made:
        yield made


@pytest.fixture
def plate(root: Path, request: pytest.FixtureRequest) -> Path:
    """Return a folder of six images that the server may read."""
    folder = root / request.node.name.replace("[", "_").rstrip("]")
    for number in range(6):
        write_image(folder / f"A0{number % 2}" / f"site{number}.tif", seed=number)
    return folder
