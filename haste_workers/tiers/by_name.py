"""From a tier's name, as decisions give it, to its storage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from haste_core.errors import PermanentError
from haste_core.trashes import DAY_S
from haste_runtime.tiers import PosixTier, S3Tier, SwiftTier, Tier, TrashTier
from haste_workers.naming import object_name
from haste_workers.tiers.objects import ObjectStore, ObjectTierStorage
from haste_workers.tiers.posix import PosixTierStorage
from haste_workers.tiers.storage import TierStorage
from haste_workers.tiers.trash import TrashTierStorage

# By the scheme of their objects' URLs.
_DRIVERS = {"file": ("posix", "trash"), "s3": ("s3",), "swift": ("swift",)}


class UnknownTierError(PermanentError):
    """The decision names a tier that this worker's settings do not."""


def open_tier(name: str, tiers: Mapping[str, Tier], *, work_dir: Path) -> TierStorage:
    """Find a tier by its name.

    Parameters
    ----------
    name : str
    tiers : mapping
    work_dir : Path
        A trash without a root is a folder below it, in ``tiers``. Folders there are made if they are missing.

    Raises
    ------
    UnknownTierError
    PermanentError
        If the library is missing that reaches it.
    """
    if name not in tiers:
        known = ", ".join(sorted(tiers)) or "none"
        raise UnknownTierError(
            f"this worker knows no tier {name!r} (known: {known}); "
            "name it under `tiers:` in the worker's settings, or in HASTE_TIERS"
        )
    tier = tiers[name]
    match tier:
        case PosixTier():
            mode = None if tier.mode is None else int(tier.mode, 8)
            may_make = _is_own(tier.root, work_dir)
            return PosixTierStorage(tier.root, may_make=may_make, mode=mode, group=tier.group)
        case TrashTier():
            root = tier.root or work_dir / "tiers" / object_name(name)
            return TrashTierStorage(root, grace_s=tier.grace_days * DAY_S, may_make=_is_own(root, work_dir))
        case _:
            return ObjectTierStorage(_open_store(tier), prefix=tier.prefix)


def _is_own(root: Path, work_dir: Path) -> bool:
    """Tell a tier beside the program's own data from one whose folder may be a share."""
    return root.is_relative_to(work_dir / "tiers")


def name_of_tier(url: str, tiers: Mapping[str, Tier], *, work_dir: Path) -> str | None:
    """Find the tier in which an object lies, the innermost one if it is several; None: in none of them.

    Raises
    ------
    PermanentError
        If the library is missing that reaches it.
    """
    drivers = _DRIVERS.get(url.partition("://")[0], ())
    names = [name for name, tier in tiers.items() if tier.driver in drivers]
    innermost_first = sorted(names, key=lambda name: _depth(tiers[name]), reverse=True)
    return next(
        (name for name in innermost_first if open_tier(name, tiers, work_dir=work_dir).covers(url)), None
    )


def _depth(tier: Tier) -> int:
    return len(tier.prefix if isinstance(tier, S3Tier | SwiftTier) else str(tier.root))


def _open_store(tier: S3Tier | SwiftTier) -> ObjectStore:
    try:  # both libraries are extras
        if isinstance(tier, S3Tier):
            from haste_workers.tiers.s3 import S3Store

            return S3Store(tier)
        from haste_workers.tiers.swift import SwiftStore

        return SwiftStore(tier)
    except ImportError as error:
        raise PermanentError(
            f"the tier in {tier.area!r} needs a library that is not installed here ({error}); "
            f"install it at the worker: pip install 'haste-server[{tier.driver}]'"
        ) from error
