import pytest
import requests

from haste_client.connection import Connection
from haste_runtime.loopback import is_this_machine
from haste_workers.web import session_for


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("http://127.0.0.1:5510", True),
        ("http://127.8.0.1", True),
        ("http://[::1]:5510/HASTE", True),
        ("http://LOCALHOST:5510", True),
        ("http://haste.localhost", True),
        ("http://localhost.example.org", False),
        ("http://0.0.0.0", False),
        ("https://haste.example.org", False),
        (r"http://127.0.0.1\@example.org/", True),  # requests asks 127.0.0.1
        ("http://user:pa@ss@127.0.0.1", True),
        ("http://[::1", False),
        ("", False),
    ],
)
def test_client_and_workers_know_this_machine_alike(url: str, ours: bool) -> None:
    assert is_this_machine(url) is ours
    with session_for(url) as session:
        assert session.trust_env is not ours
    with Connection(url) as connection:
        assert _session_of(connection).trust_env is not ours


def _session_of(connection: Connection) -> requests.Session:
    return connection._session
