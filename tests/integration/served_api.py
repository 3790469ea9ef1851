"""The API with a web server around it, in this process: for what talks HTTP."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from structlog.testing import capture_logs
from werkzeug.serving import make_server

from haste_core.lifecycle import Rules
from haste_server.catalogue import load_pipelines
from haste_server.store.database import Database
from haste_server.store.sql import SqlStore
from tests.integration.api.conftest import Api


@contextmanager
def served_api(folder: Path, empty_database: Path, *, token: str | None) -> Iterator[tuple[Api, str]]:
    """Serve an API on an empty store while the block runs; return it with its address."""
    database = Database(f"sqlite:///{shutil.copy(empty_database, folder)}")
    store = SqlStore(database=database, rules=Rules(), default_pipeline=load_pipelines()["focus-tier"])
    api = Api(store, folder / "landing", token=token)
    server = make_server("127.0.0.1", 0, api.client.application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with capture_logs():  # it would go to stdout, as what is tested does
        yield api, f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()
    database.close()
