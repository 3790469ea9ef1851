"""From a tier's name, as decisions give it, to its storage."""

from __future__ import annotations

from collections.abc import Mapping

from haste_core.errors import PermanentError
from haste_runtime.folders import PosixTier
from haste_workers.tiers.posix import PosixTierStorage
from haste_workers.tiers.storage import TierStorage


class UnknownTierError(PermanentError):
    """The decision names a tier that this worker's settings do not."""


def open_tier(name: str, tiers: Mapping[str, PosixTier]) -> TierStorage:
    """Find a tier by its name.

    Raises
    ------
    UnknownTierError
    """
    if name not in tiers:
        known = ", ".join(sorted(tiers)) or "none"
        raise UnknownTierError(
            f"this worker knows no tier {name!r} (known: {known}); "
            "name it under `tiers:` in the worker's settings, or in HASTE_TIERS"
        )
    return PosixTierStorage(tiers[name].root)
