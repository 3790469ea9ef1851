"""Uploads: what a sender says about a file, and what goes wrong while it comes."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import from_json, to_json

from haste_core.errors import ConflictError, HasteError, InvalidError, NotFoundError, Problem
from haste_core.fields import Form, Index, JsonObject, Number, PlainText, Priority, SourceName, StreamName
from haste_core.findings import problems_of
from haste_core.jobspec import DEFAULT_STREAM, MAX_SIDECARS
from haste_core.messages import Place
from haste_core.windows_paths import trouble_with_name

MAX_METADATA_NESTING = 23  # in a job spec, which may be 24 deep
MAX_SIDECAR_NAME_BYTES = 200
CONTAINER_SUFFIX = ".zarr"
CHECKSUMS = ("sha256", "sha1")
"""By which a piece of an upload can be checked."""


class UploadGoneError(NotFoundError):
    """The upload has expired; send the file again as a new one."""


class UploadHeldError(ConflictError):
    """Somebody else is sending the same upload; ask again a little later."""


class UploadTooLargeError(HasteError):
    """The file is larger than the server takes."""


class ChecksumMismatchError(HasteError):
    """What arrived is not what was sent."""


def _list_of_numbers(value: Any) -> Any:
    return value.split(",") if isinstance(value, str) and value else ()


def _json(value: Any) -> Any:
    try:
        read = from_json(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f"is no JSON: {error}") from None
    _check_nesting(read)
    return read


def _check_nesting(value: Any) -> None:
    level = [value]
    for _ in range(MAX_METADATA_NESTING + 1):
        level = [item for node in level for item in _items(node)]
        if not level:
            return
    raise ValueError(f"is nested more than {MAX_METADATA_NESTING} deep")


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _one_name(name: str) -> str:
    """Take a name that any file may have, on any system, and that leads to no other folder."""
    trouble = trouble_with_name(name)
    if trouble is None and not name.isprintable():
        trouble = "it holds control characters"
    if trouble is None and len(name.encode()) > MAX_SIDECAR_NAME_BYTES:
        trouble = f"it takes more than {MAX_SIDECAR_NAME_BYTES} bytes"
    if trouble is not None:
        raise ValueError(f"{name[:100]!r} is no name for a sidecar: {trouble}")
    return name


Sha256 = Annotated[str, Form(r"[0-9a-f]{64}", "is no SHA-256: 64 digits 0 to 9 and a to f")]


class SidecarNote(BaseModel):
    """Which file that was sent before belongs to an object.

    Attributes
    ----------
    name : str
        What its sender calls it; the name of a file, without folders.
    sha256 : str
        Of its content, in hex.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(_one_name)]
    sha256: Sha256


class UploadMetadata(BaseModel):
    """What the header ``Upload-Metadata`` says about a file; other keys go into its job's metadata, as text.

    Attributes
    ----------
    filename : str
        What the sender calls the file. Its suffix tells readers the format.
    stream_id : str, optional
        The acquisition that it belongs to. Without one there is no job.
    source_id : str, optional
        Names the object in its stream; None: as the file.
    sha256 : str, optional
        Of the whole file, in hex. What arrives has to fit; and a file that is there is not sent again.
    location : tuple of float
        Written with commas: ``3.5,1``.
    metadata : dict
        Of the job; written as JSON.
    job : str
        ``no``: the file is kept, and nothing more is done.
    packed : str, optional
        ``tar``: the file is a folder of OME-Zarr, packed as by ``tar --format=ustar``. It is unpacked, and
        `sha256` is that of the list of its files.
    sidecar : str
        ``yes``: the file belongs to objects that come after it and name it. It keeps its name, and is no job.
    sidecars : tuple of SidecarNote
        What belongs to this object; written as JSON. The server has it already.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    filename: Annotated[str, Field(max_length=1000)] = ""
    stream_id: StreamName | None = None
    source_id: SourceName | None = None
    sha256: Sha256 | None = None
    index: Index | None = None
    timestamp: Number | None = None
    location: Annotated[tuple[Number, ...], BeforeValidator(_list_of_numbers), Field(max_length=8)] = ()
    substream_id: Annotated[PlainText, Field(max_length=100)] | None = None
    priority: Priority = 1.0
    metadata: Annotated[JsonObject, BeforeValidator(_json)] = Field(default_factory=dict)
    job: Literal["yes", "no"] = "yes"
    packed: Literal["tar"] | None = None
    sidecar: Literal["yes", "no"] = "no"
    sidecars: Annotated[tuple[SidecarNote, ...], BeforeValidator(_json), Field(max_length=MAX_SIDECARS)] = ()

    @field_validator("packed")
    @classmethod
    def _is_a_container(cls, packed: str | None, info: ValidationInfo) -> str | None:
        if packed is not None and not info.data.get("filename", "").lower().endswith(CONTAINER_SUFFIX):
            raise ValueError(
                f"only folders of OME-Zarr are taken, with a filename that ends with {CONTAINER_SUFFIX}"
            )
        if packed is not None and info.data.get("sha256") is None:
            raise ValueError("tell its sha256, that of the list of its files")
        return packed

    @field_validator("sidecar")
    @classmethod
    def _has_a_name(cls, sidecar: str, info: ValidationInfo) -> str:
        if sidecar == "yes" and info.data.get("packed"):
            raise ValueError("a folder is no sidecar")
        if sidecar == "yes":
            _one_name(info.data.get("filename", ""))
        return sidecar

    @field_validator("sidecars")
    @classmethod
    def _are_of_an_object(
        cls, sidecars: tuple[SidecarNote, ...], info: ValidationInfo
    ) -> tuple[SidecarNote, ...]:
        if sidecars and info.data.get("sidecar") == "yes":
            raise ValueError("a sidecar has none of its own")
        if len({note.name for note in sidecars}) < len(sidecars):
            raise ValueError("two of them have one name")
        return sidecars

    @classmethod
    def parse(cls, header: str) -> UploadMetadata:
        """Read the header of tus: keys, each with its value in Base64, and commas between.

        Raises
        ------
        InvalidError
            With every problem that it has.
        """
        try:
            return cls.model_validate(_pairs(header))
        except ValidationError as error:
            problems = problems_of(error)
            raise InvalidError(
                Problem(f"Upload-Metadata.{problem.where}", problem.what) for problem in problems
            ) from error

    @property
    def stream(self) -> str:
        """The stream below whose name the file is kept."""
        return self.stream_id or DEFAULT_STREAM

    @property
    def wants_job(self) -> bool:
        """Whether the stream's tasks shall be done with the file."""
        return self.stream_id is not None and self.job == "yes" and not self.is_sidecar

    @property
    def is_packed(self) -> bool:
        """Whether a folder is to be made of the file."""
        return self.packed is not None

    @property
    def is_sidecar(self) -> bool:
        """Whether the file belongs to objects that come after it."""
        return self.sidecar == "yes"

    @property
    def spec_fields(self) -> dict[str, Any]:
        """What a job spec takes over."""
        others = {**(self.model_extra or {}), "filename": self.filename}
        return {
            "source_id": self.source_id or self.filename,
            "stream_id": self.stream,
            "index": self.index,
            "timestamp": self.timestamp,
            "location": self.location,
            "substream_id": self.substream_id,
            "priority": self.priority,
            "metadata": {**{key: value for key, value in others.items() if value}, **self.metadata},
        }


@dataclass(frozen=True)
class Upload:
    """An upload as it stands.

    Attributes
    ----------
    upload_id : str
    length, offset : int
        How many bytes the file has, and how many of them are on disk.
    header : str
        ``Upload-Metadata``, as it was sent.
    expires_at : float
        Seconds since 1970; until then it can be gone on with.
    place : Place, optional
        Of the whole file; None before it is whole, or if it was taken away since.
    job_id : int, optional
        Of the job that came of it.
    is_finished : bool
        Nothing is left to be sent or done.
    """

    upload_id: str
    length: int
    offset: int
    header: str
    expires_at: float
    place: Place | None = None
    job_id: int | None = None
    is_finished: bool = False

    @property
    def is_landing(self) -> bool:
        """True if all of it has arrived, and something is left to be done with it."""
        return self.offset == self.length and not self.is_finished


@dataclass(frozen=True)
class Checksum:
    """What a piece of an upload must be."""

    algorithm: str
    digest: bytes

    @classmethod
    def parse(cls, header: str) -> Checksum:
        """Read ``Upload-Checksum``: an algorithm, and the digest in Base64.

        Raises
        ------
        InvalidError
        """
        algorithm, _, encoded = header.strip().partition(" ")
        if algorithm not in CHECKSUMS:
            offered = " or ".join(CHECKSUMS)
            raise InvalidError([Problem("Upload-Checksum", f"should begin with {offered}, then the digest")])
        digest = _decoded("Upload-Checksum", encoded)
        if len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
            raise InvalidError([Problem("Upload-Checksum", f"is no {algorithm} digest in Base64")])
        return cls(algorithm, digest)


def metadata_header(fields: Mapping[str, Any]) -> str:
    """Write ``Upload-Metadata``; fields that are None are left out.

    Parameters
    ----------
    fields : mapping of str
        Text and numbers are written as they are, all else as JSON.
    """
    said = {key: value for key, value in fields.items() if value is not None}
    texts = {key: value if isinstance(value, str) else to_json(value).decode() for key, value in said.items()}
    return ",".join(f"{key} {base64.b64encode(text.encode()).decode()}" for key, text in texts.items())


def _pairs(header: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for item in header.split(",") if header.strip() else ():
        key, _, encoded = item.strip().partition(" ")
        if not key or not key.isascii() or key in pairs:
            what = f"{item.strip()[:100]!r} is no new key with its value in Base64"
            raise InvalidError([Problem("Upload-Metadata", what)])
        pairs[key] = _text(f"Upload-Metadata.{key[:100]}", encoded)
    return pairs


def _text(where: str, encoded: str) -> str:
    try:
        return _decoded(where, encoded).decode()
    except UnicodeDecodeError:
        raise InvalidError([Problem(where, "should be text in UTF-8, encoded in Base64")]) from None


def _decoded(where: str, encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidError([Problem(where, "is not encoded in Base64")]) from None
