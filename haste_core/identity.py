"""What a model says, to be hashed: the same in each version that understands it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


def identity_of(model: BaseModel) -> dict[str, Any]:
    """Write as JSON what a model says beyond its defaults.

    So a field that a later version adds, with a default, changes no hash that is stored. What a default is
    may not change then: `tests/unit/core/test_identity.py` holds them fast.

    Parameters
    ----------
    model : BaseModel
        Of a policy, its type is always written.
    """
    written: dict[str, Any] = model.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    kind = getattr(model, "type", None)
    return written if kind is None else {"type": kind, **written}
