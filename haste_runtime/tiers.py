"""Tiers as settings name them: where each is, and by which right."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SecretStr,
    Tag,
    field_validator,
    model_validator,
)

from haste_core.fields import TierName
from haste_core.findings import unwritten
from haste_runtime.folders import LocalPath
from haste_runtime.s3 import S3Connection
from haste_runtime.swift import SwiftConnection

_MODE = re.compile(r"0?[0-7]{3}")
_MIB = 2**20
_MAX_PREFIX_BYTES = 200  # of 1024 that a whole name may take


def _octal(mode: Any) -> Any:
    # YAML reads an unquoted 0640 as the number 416, and JSON has no octal numbers.
    if mode is not None and not (isinstance(mode, str) and _MODE.fullmatch(mode)):
        raise ValueError('should be three octal digits in quotation marks, for example "0640"')
    return mode


def _posix_only(value: str | None) -> str | None:
    if value is not None and os.name == "nt":
        raise ValueError("Windows has no such thing; set the rights of the folder itself, files inherit them")
    return value


def _below(prefix: str) -> str:
    parts = prefix.strip("/").split("/")
    if prefix and any(part in ("", ".", "..") for part in parts):
        raise ValueError("should be names with / between them, for example haste/tierA")
    if len(prefix.encode()) > _MAX_PREFIX_BYTES:
        raise ValueError(f"should take at most {_MAX_PREFIX_BYTES} bytes")
    return "/".join(parts)


Mode = Annotated[str | None, BeforeValidator(_octal), AfterValidator(_posix_only)]
Group = Annotated[str | None, Field(min_length=1), AfterValidator(_posix_only)]
Prefix = Annotated[str, AfterValidator(_below)]


class PassingOn(BaseModel):
    """When objects go on from a tier to the next one; a server reads it in its own settings only.

    Attributes
    ----------
    quota : int, optional
        In bytes: if the tier is to hold more, the objects with the lowest scores go on.
    retain_days : float, optional
        Objects go on when so long ago was decided about them.
    next : str, optional
        The tier that they go on to.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    quota: int | None = Field(default=None, ge=1)
    retain_days: float | None = Field(default=None, gt=0, le=36500)
    next: TierName | None = None

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Self:
        if (self.next is None) != (self.quota is None and self.retain_days is None):
            raise ValueError("give `next`, the tier that objects go on to, with `quota` or `retain_days`")
        return self


class PosixTier(PassingOn):
    """A tier that is a folder of a mounted file system.

    Attributes
    ----------
    root : Path
        It has to be there: what is missing may be a share that is not mounted.
    mode : str, optional
        The rights of its files in octal, for example ``0640``; its folders may also be entered by those who
        may read. None: as the worker's umask has it.
    group : str, optional
        The group of its files and folders, one of those that the worker's user is a member of.
    """

    driver: Literal["posix"] = "posix"
    root: LocalPath
    mode: Mode = None
    group: Group = None


class TrashTier(PassingOn):
    """A folder whose objects may be deleted after a while, but not before.

    Attributes
    ----------
    root : Path, optional
        None: a folder of the tier's name in the data folder of the server, or the `work_dir` of a worker.
    grace_days : int
        How long objects stay at least, from when they were last put there.
    """

    driver: Literal["trash"]
    root: LocalPath | None = None
    grace_days: int = Field(default=30, ge=1, le=36500)


class S3Tier(S3Connection, PassingOn):
    """A tier in a bucket of S3, or of what speaks its protocol.

    Attributes
    ----------
    bucket : str
        It exists already; the key may list, read and write it.
    prefix : str
        Objects are kept below it.
    conditional_writes : bool
        False for a server that does not promise that of two who store under one free name at the same time
        one is refused, such as Swift's S3 or Pachyderm's gateway: then all names are marked with hashes.
    """

    driver: Literal["s3"]
    bucket: str = Field(min_length=1)
    prefix: Prefix = ""
    conditional_writes: bool = True

    @property
    def area(self) -> str:
        """The name that stands first in its objects' URLs."""
        return self.bucket

    @property
    def connection(self) -> S3Connection:
        """How to reach it, without the bucket: tiers that are reached alike share their connections."""
        return S3Connection(**{name: getattr(self, name) for name in S3Connection.model_fields})


class SwiftTier(SwiftConnection, PassingOn):
    """A tier in a container of OpenStack Swift; the names of its objects are marked with their hashes.

    Attributes
    ----------
    container : str
        It exists already.
    prefix : str
        Objects are kept below it.
    segment_bytes : int
        Larger objects are stored as segments of this size, each of which is held in memory once.
    """

    driver: Literal["swift"]
    container: str = Field(min_length=1, max_length=256)
    prefix: Prefix = ""
    segment_bytes: int = Field(default=64 * _MIB, ge=_MIB, le=1024 * _MIB)

    @field_validator("container")
    @classmethod
    def _is_one_name(cls, container: str) -> str:
        if "/" in container:
            raise ValueError(
                "should be the name of a container, without /; for a folder in it, give a prefix"
            )
        return container

    @property
    def area(self) -> str:
        """The name that stands first in its objects' URLs."""
        return self.container

    @property
    def connection(self) -> SwiftConnection:
        """How to reach it, without the container: tiers that are reached alike share their connections."""
        return SwiftConnection(**{name: getattr(self, name) for name in SwiftConnection.model_fields})


def _driver_of(tier: Any) -> Any:
    driver = tier.get("driver", "posix") if isinstance(tier, Mapping) else getattr(tier, "driver", None)
    return unwritten(str(driver))


Tier = Annotated[
    Annotated[PosixTier, Tag(unwritten("posix"))]
    | Annotated[TrashTier, Tag(unwritten("trash"))]
    | Annotated[S3Tier, Tag(unwritten("s3"))]
    | Annotated[SwiftTier, Tag(unwritten("swift"))],
    Discriminator(
        _driver_of,
        custom_error_type="tier_driver",
        custom_error_message="should be a mapping with one of the drivers posix, trash, s3, swift",
    ),
]


def told_apart(tiers: dict[str, Tier]) -> dict[str, Tier]:
    """Refuse tiers on different servers whose objects could have the same URLs.

    A URL names bucket or container and object, not the server: an object would seem to be where it is to go.

    Raises
    ------
    ValueError
    """
    remote = [(name, tier) for name, tier in tiers.items() if isinstance(tier, S3Tier | SwiftTier)]
    for (name, tier), (other_name, other) in itertools.combinations(remote, 2):
        if tier.driver == other.driver and _server_of(tier) != _server_of(other) and _overlap(tier, other):
            raise ValueError(
                f"{name} and {other_name} are both in {tier.area!r}, on different servers, so that nobody "
                "could tell their objects apart: give one another bucket or container, or each its own prefix"
            )
    return tiers


def _server_of(tier: S3Tier | SwiftTier) -> tuple[str | None, ...]:
    if isinstance(tier, S3Tier):
        return (tier.endpoint_url,)
    account = tier.project or tier.user or tier.application_credential_id
    return tier.auth_url, account, tier.region


def _overlap(tier: S3Tier | SwiftTier, other: S3Tier | SwiftTier) -> bool:
    if tier.area != other.area:
        return False
    shorter, longer = sorted(f"{each.prefix}/".removeprefix("/") for each in (tier, other))
    return longer.startswith(shorter)


def said_openly(setting: Any) -> Any:
    """Turn what JSON does not know into text, secrets included: only for a program's own children.

    Parameters
    ----------
    setting : Path or SecretStr
        As ``json.dumps(…, default=said_openly)`` gives it.
    """
    return setting.get_secret_value() if isinstance(setting, SecretStr) else str(setting)
