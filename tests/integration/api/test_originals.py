"""Whether an embedded server's folder may be removed, asked of a server in this process."""

import pytest

from haste_apps.connected_server import may_hold_originals
from haste_client import HasteClient
from haste_core.pipelines import Pipeline
from haste_server.catalogue import load_pipelines
from tests.integration.api.conftest import NOW, Api
from tests.services.wsgi import serving


@pytest.mark.parametrize(
    ("mode", "move", "is_open", "kept"),
    [
        ("enforce", True, False, True),
        ("enforce", False, True, False),
        ("observe", True, True, True),
        ("observe", True, False, False),
    ],
)
def test_only_a_stream_that_moves_may_have_originals_in_its_tiers(
    api: Api, mode: str, move: bool, is_open: bool, kept: bool
) -> None:
    usual = load_pipelines()["focus-tier"].to_json()
    pipeline = Pipeline.parse({**usual, "policy": {**usual["policy"], "move": move}})
    api.store.create_stream("plate7", pipeline, mode, now=NOW)
    job_id = api.submit(source_id="A01", stream_id="plate7")["job_id"]
    if not is_open:
        api.store.cancel_job(job_id, now=NOW)
    with serving(api.client.application) as url, HasteClient(url, retry_for_s=0.1) as client:
        assert may_hold_originals(client) is kept


def test_a_server_that_cannot_be_asked_may_have_originals(api: Api) -> None:
    with serving(api.client.application) as url:
        client = HasteClient(url, retry_for_s=0.1)
    with client:
        assert may_hold_originals(client)
