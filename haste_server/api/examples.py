"""Examples of requests, for the OpenAPI document. Each can be sent as it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask_openapi3.models.example import Example
from flask_openapi3.models.request_body import RequestBody
from flask_openapi3.openapi import OpenAPI

from haste_server.api.security import operations_of

IN_PATHS: Mapping[str, Any] = {
    "alert_id": 1,
    "job_id": 17,
    "name": "old-pc",
    "source_id": "A01_s1.tif",
    "stream_id": "plate7",
    "task_id": 31,
    "tier": "trash",
}
"""By the parameters' names."""

_JOB = {
    "source_url": "root://plates/plate7/A01_s1.tif",
    "source_id": "A01_s1.tif",
    "source_version": "1790000000-2097152",
    "stream_id": "plate7",
    "index": 0,
    "location": [3, 1],
    "metadata": {"channel": "DAPI"},
    "priority": 5.0,
    "tasks": {"taskSequential": ["focus-score", "tier"]},
}
_CONDITIONAL = {
    "source_url": "file:///data/plate7/A02_s1.tif",
    "source_id": "A02_s1.tif",
    "tasks": {
        "taskSequential": [
            {"Task": {"task_key": "preprocess", "optional": True}},
            "focus-score",
            {"Task": {"task_key": "tier", "when": "focus-score.signal_fraction > 0"}},
        ]
    },
}
_POLICY = {
    "policy": {
        "intervals": [
            {"lo": 0, "hi": 0.3, "tier": "tierD"},
            {"lo": 0.3, "hi": 0.8, "tier": "tierB"},
            {"lo": 0.8, "hi": 1, "tier": "tierA"},
        ],
        "undefined": "empty",
    }
}
_FUNCTION = {
    "interestingness": {
        "function": "logistic",
        "features_from": "focus-score",
        "parameters": {"feature": "plls", "k": 4.5, "x0": -1.4},
    }
}

IN_BODIES: Mapping[str, Mapping[str, Any]] = {
    "jobs.submit": {"An image that is scored and moved": _JOB, "A task that may be left out": _CONDITIONAL},
    "jobs.submit_many": {"Two images": {"jobs": [_JOB, _CONDITIONAL]}},
    "actions.retry_jobs": {
        "Some jobs": {"job_ids": [17, 18]},
        "All whose remote service was away": {"task_key": "tier", "state": 503},
    },
    "actions.cancel_jobs": {"What is open of a stream": {"stream_id": "plate7"}},
    "actions.retry_tasks": {"Some tasks": {"task_ids": [31, 32]}},
    "actions.force_retry_tasks": {"All scores of a stream": {"stream_id": "plate7", "state": "done"}},
    "actions.reset_tasks": {"Those that wait at a site": {"site": "lab1", "state": 201}},
    "priorities.change_priorities": {
        "Of jobs": {"17": 5.0, "18": 1.5},
        "By the objects' numbers in their stream": {"stream_id": "plate7", "priorities": {"0": 3.0}},
        "Of single tasks": {"tasks": {"31": 5.0, "32": None}},
    },
    "streams.create": {
        "One that only records what it decides": {"stream_id": "plate8", "pipeline": "focus-tier"},
        "One that moves images at once": {
            "stream_id": "plate9",
            "pipeline": "focus-tier",
            "mode": "enforce",
            "project": "default",
        },
    },
    "streams.set_mode": {"Move what was decided": {"mode": "enforce"}},
    "objects.preview": {"Other tiers": _POLICY, "Another function": _FUNCTION},
    "objects.apply_policy": {"Other tiers": _POLICY},
    "objects.pin": {"A control": {"tier": "tierA", "reason": "the plate's negative control", "by": "Ana"}},
    "objects.unpin": {"No control": {"reason": "not needed any more"}},
    "objects.recall": {"To the fastest tier": {"reason": "to be measured again"}},
    "trashes.empty": {"In somebody's name": {"by": "Ana"}},
    "tokens.create": {
        "For a microscope's computer": {
            "name": "lab1-pc",
            "scopes": ["submit"],
            "projects": ["lab1"],
            "upload_quota_bytes": 200_000_000_000,
        },
        "To look at everything": {"name": "monitoring", "scopes": ["read"], "expires_at": 4_000_000_000},
    },
}
"""By endpoint, then by what they are for."""


def describe_examples(app: OpenAPI) -> None:
    """Show the examples with the operations."""
    for endpoint, operation in operations_of(app):
        for parameter in operation.parameters or ():
            if parameter.param_in == "path" and parameter.name in IN_PATHS:
                parameter.example = IN_PATHS[parameter.name]
        if endpoint in IN_BODIES:
            assert isinstance(operation.requestBody, RequestBody)
            operation.requestBody.content["application/json"].examples = {
                _named(summary): Example(summary=summary, value=value)
                for summary, value in IN_BODIES[endpoint].items()
            }


def _named(summary: str) -> str:
    return "".join(part.capitalize() for part in summary.replace("'", "").split())
