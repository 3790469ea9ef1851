"""Whatever is asked of any operation, the OpenAPI document describes the answer."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.generation import GenerationMode

from haste_core.errors import TransientError
from haste_core.pipelines import Pipeline
from haste_core.routing import Route
from haste_core.tokens import Scope
from haste_server.api.examples import IN_BODIES, IN_PATHS
from haste_server.api.scopes import wanted_by
from haste_server.api.services import services
from haste_server.api.uploads import PIECE
from haste_server.catalogue import load_pipelines
from haste_server.store.sql import SqlStore
from tests.integration.api.conftest import NOW, Api, result_of, spec
from tests.integration.api.test_alerts import RULES
from tests.integration.api.test_objects import decide_all

TOKEN = "a token of some length"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
TASKS = {"taskSequential": ["focus-score", "tier"]}
JOBS = 20
POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
ANY_TEXT = "If-None-Match"
BY_ITEM = "jobs.submit_many"  # a bad spec is answered in its place in a good answer
EVENTS = "events.follow"  # schemathesis takes the schema of the whole text for that of each event


@schemathesis.serializer(PIECE)
def as_piece(_context: object, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture
def plate(store: SqlStore, tmp_path: Path) -> Api:
    """Return the API with all that the document's examples name, and an upload."""
    api = Api(store, tmp_path / "landing", token=TOKEN, trashes={"trash": 30})
    api.client.environ_base["HTTP_AUTHORIZATION"] = BEARER["Authorization"]
    pipeline = Pipeline.parse({**load_pipelines()["focus-tier"].to_json(), "alerts": RULES})
    store.create_stream("plate7", pipeline, "observe", now=NOW)
    jobs = [
        spec(source_id=f"A{n:02}", stream_id="plate7", site="lab1", tasks=TASKS, index=n) for n in range(JOBS)
    ]
    assert api.client.post("/HASTE/jobs/", json={"jobs": jobs}).status_code == 200
    features = {"noise_lift": 0, "speck_lift": 0, "empty": False, "size_bytes": 1000}
    claimed = store.claim(Route("focus-score", "lab1"), JOBS, now=NOW, lease_s=9)
    results = [result_of(message, plls=-2.5 + n / 10, **features) for n, message in enumerate(claimed)]
    store.record(results, now=NOW)
    decide_all(api)
    for later in (0, 20):
        store.judge("plate7", now=NOW + later, listening_since=0, fills={}, channels=["e-mail"])
    api.attend("focus-score", site="lab1")
    assert api.client.post("/HASTE/tokens/", json={"name": "old-pc", "scopes": ["read"]}).status_code == 201
    return api


def begun_upload(api: Api) -> str:
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "1000"}
    answer = api.client.post("/HASTE/files/", headers=headers)
    assert answer.status_code == 201
    return answer.json["upload_id"]


def described(api: Api) -> schemathesis.schemas.BaseSchema:
    """Return the document as schemathesis reads it."""
    with api.client.application.app_context():
        services().following.end()  # events then tell how things stand, and end
    schema = schemathesis.openapi.from_wsgi("/openapi/openapi.json", api.client.application)
    schema.config.generation.update(with_security_parameters=False)
    # tus has an answer of its own for who speaks another version.
    rejection = schema.config.checks.negative_data_rejection
    rejection.expected_statuses = [*rejection.expected_statuses, "412"]
    return schema


def operations(api: Api) -> Iterator[Any]:
    """Go through the operations; those that forget things come last."""
    found = [item.ok() for item in described(api).get_all_operations()]
    yield from sorted(found, key=lambda operation: (operation.method == "delete", "delete" in operation.path))


def endpoint_of(api: Api, operation: Any) -> str:
    known = {**IN_PATHS, "upload_id": "x"}
    path = operation.path.format(**known)
    endpoint, _ = api.client.application.url_map.bind("server").match(path, operation.method.upper())
    return endpoint


def test_the_document_is_one_of_openapi_3_1(plate: Api) -> None:
    assert plate.client.get("/openapi/openapi.json").json["openapi"].startswith("3.1")
    described(plate).validate()


def test_all_answers_are_described(plate: Api) -> None:
    try_all(plate, examples=2)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_all_answers_to_many_requests_are_described(plate: Api) -> None:
    try_all(plate, examples=60)


def try_all(api: Api, *, examples: int) -> None:
    """Send generated requests to all operations, good and bad ones, the same ones each time."""
    known = {**IN_PATHS, "upload_id": begun_upload(api)}
    answered: Counter[int] = Counter()
    for operation in operations(api):
        try_one(api, operation, POSITIVE, known, answered, examples=examples)
        headers = {header.name for header in operation.headers} - {ANY_TEXT}
        if operation.query or headers or operation.body:
            # Else nothing but a path could be wrong, and such a path leads elsewhere.
            try_one(api, operation, NEGATIVE, known, answered, examples=examples)
    assert answered[200] > examples * 10
    assert answered[400] > examples * 10


def try_one(
    api: Api,
    operation: Any,
    mode: GenerationMode,
    known: dict[str, Any],
    answered: Counter[int],
    *,
    examples: int,
) -> None:
    left_out = checks_left_out(endpoint_of(api, operation))
    bodies = list(IN_BODIES.get(endpoint_of(api, operation), {}).values())

    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def run(case: Any, data: st.DataObject) -> None:
        if mode is POSITIVE and data.draw(st.booleans(), label="of what is there"):
            case.path_parameters.update({name: known[name] for name in case.path_parameters})
            if bodies:
                case.body = data.draw(st.sampled_from(bodies))
        answer = case.call(headers=BEARER)
        answered[answer.status_code] += 1
        case.validate_response(answer, excluded_checks=left_out)

    run()


def checks_left_out(endpoint: str) -> list[Any]:
    load_all_checks()
    # What has to be there, and rules over several fields, cannot be said in a schema. Tokens have tests of
    # their own, and too many wrong ones would close the server.
    names = ["positive_data_acceptance", "ignored_auth"]
    if endpoint == BY_ITEM:
        names.append("negative_data_rejection")
    if endpoint == EVENTS:
        names.append("response_schema_conformance")
    return [CHECKS.get_one(name) for name in names]


def test_examples_are_answered_as_described(plate: Api) -> None:
    sent = Counter[str]()
    for operation in operations(plate):
        endpoint = endpoint_of(plate, operation)
        content = operation.definition.raw.get("requestBody", {}).get("content", {})
        assert ("application/json" in content) == (endpoint in IN_BODIES), f"{endpoint} has no example"
        path = operation.path.format(**IN_PATHS, upload_id="x")
        for summary, body in IN_BODIES.get(endpoint, {}).items():
            answer = plate.client.open(path, method=operation.method.upper(), json=body)
            assert answer.status_code in (200, 201), (operation.label, summary, answer.text)
            check_described(operation, answer)
            sent[endpoint] += 1
    assert sent == {endpoint: len(bodies) for endpoint, bodies in IN_BODIES.items()}


def test_what_keeps_people_out_is_described(plate: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    looker = {"name": "looker", "scopes": ["read"]}
    secret = plate.client.post("/HASTE/tokens/", json=looker).json["secret"]
    asking = [
        (operation, wanted)
        for operation in operations(plate)
        if (wanted := wanted_by(endpoint_of(plate, operation)))
    ]

    def refused(status: int, authorization: str, *, also_readers: bool = True) -> None:
        for operation, wanted in asking:
            if Scope.READ in wanted and not also_readers:
                continue
            path = operation.path.format(**IN_PATHS, upload_id="x")
            headers = {"Authorization": authorization}
            answer = plate.client.open(path, method=operation.method.upper(), headers=headers)
            assert answer.status_code == status, (operation.label, answer.text)
            check_described(operation, answer)

    refused(401, "")
    refused(403, f"Bearer {secret}", also_readers=False)
    with monkeypatch.context() as patch:
        patch.setattr(SqlStore, "token_by_hash", away)
        refused(503, "Bearer of another one")
    for _ in range(10):
        plate.client.get("/HASTE/jobs/", headers={"Authorization": "Bearer wrong"})
    refused(429, "Bearer wrong")


def away(*_: object) -> None:
    raise TransientError("the database is not available: connection refused")


def check_described(operation: Any, answer: Any) -> None:
    described_answers = operation.definition.raw["responses"]
    assert str(answer.status_code) in described_answers, (operation.label, answer.text)
    assert set(described_answers[str(answer.status_code)].get("headers", {})) <= set(answer.headers.keys())
    assert answer.content_type.split(";")[0] in ("application/json", "application/problem+json")
    operation.validate_response(answer)
