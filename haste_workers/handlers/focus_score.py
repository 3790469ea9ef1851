"""Task ``focus-score``: how sharp an image is, and whether it shows anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator, field_validator

from haste_core.features import measure
from haste_core.features.quality import QUALITY_FEATURES, QualityOptions, measure_quality
from haste_core.messages import MAX_THUMBNAIL_BYTES, TaskMessage
from haste_workers.answers import Answer
from haste_workers.context import TaskContext
from haste_workers.durable import has_new_content, sha256_of, size_of
from haste_workers.handlers.parameters import HandlerParameters
from haste_workers.imaging.choosing import Index
from haste_workers.imaging.files import as_image_errors
from haste_workers.imaging.formats.ome_zarr import is_zarr_folder
from haste_workers.imaging.image import MAX_BYTES, Image
from haste_workers.imaging.read import read_image
from haste_workers.imaging.thumbnail import bounded_jpeg

ORIGINAL_PIXELS = "original"


def _either(what: str) -> WrapValidator:
    """Say of what is neither of two forms what both are, in place of a problem for each."""

    def judge(value: Any, judged: ValidatorFunctionWrapHandler) -> Any:
        try:
            return judged(value)
        except ValidationError:
            raise ValueError(f"should be {what}") from None

    return WrapValidator(judge)


class FocusScoreParameters(HandlerParameters):
    """What a pipeline may ask of ``focus-score`` beside the slope.

    Attributes
    ----------
    channel, z, time, scene : optional
        Which planes of a file with several compete; see `haste_workers.imaging.choosing.Choice`.
    features : tuple of str
        Of `haste_core.features.quality.QUALITY_FEATURES`.
    scale : int
        In pixels, about the size of an object: for `local_focus_score` and `correlation`.
    bits : int
        Of the detector's converter: for `saturated_fraction`.
    thumbnail_px : int
        Longer side of the picture that the pages show; 0: none is made.
    """

    channel: Annotated[Index | str, _either("a channel's name or its number from 0")] | None = None
    z: Annotated[Index | Literal["best", "max"], _either("best, max, or a plane's number from 0")] = "best"
    time: Index | None = None
    scene: Index | None = None
    features: tuple[str, ...] = ()
    scale: int = Field(20, ge=1, le=10_000)
    bits: int = Field(16, ge=1, le=64)
    thumbnail_px: int = Field(128, ge=0, le=256)

    @field_validator("features")
    @classmethod
    def _known(cls, features: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(features) - set(QUALITY_FEATURES))
        if unknown:
            raise ValueError(
                f"there is no feature {' and no '.join(unknown)}; choose from {', '.join(QUALITY_FEATURES)}"
            )
        return features


def focus_score(job: Mapping[str, Any], task: TaskMessage, context: TaskContext) -> Answer:
    """Measure the features of an image; of a file with several planes, those of the one that speaks for it.

    Returns
    -------
    Answer
        With a thumbnail of what was measured. The response:
        ``plls`` (None where `undefined` says why), ``signal_fraction`` in [0, 1], ``empty``; ``pixels``:
        ``original``, or the lossy operator that the pixels went through, so that scores of the two are not
        mixed; ``width`` and ``height`` in pixels, ``dtype`` of a channel, ``colour`` (then its luminance was
        measured); ``sha256`` and ``size_bytes`` of the file, or of the folder as
        `haste_workers.durable.sha256_of` defines it. Of a file with several planes, how many
        (``planes``) and which one was measured (``plane``). What the file tells of how it was taken
        (``facts``). Then the features that the pipeline asks for, by name, and ``undefined_features``: why
        some of them have no value.

    Raises
    ------
    BadInputError
        If it is no readable image, or has changed since its place was recorded.
    """
    asked = FocusScoreParameters.of(context)
    path = context.source_path()
    if not is_zarr_folder(path):
        path = context.source_file()
    # Before it is read: a folder with links to elsewhere is refused.
    with as_image_errors(path):
        sha256, size_bytes = sha256_of(path), size_of(path)
    image = _read(path, asked, max_bytes=context.settings.image_limit_bytes)
    scored = measured(image, asked)
    if task.place.sha256 not in (None, sha256):
        raise has_new_content(path, since="it was put there")
    pixels = _pixels(job.get("response", {}))
    response = {**scored, "pixels": pixels, "sha256": sha256, "size_bytes": size_bytes}
    return Answer(response, thumbnail=_thumbnail(image, asked.thumbnail_px))


def score_file(
    source: str | Path, asked: FocusScoreParameters, *, max_bytes: int = MAX_BYTES
) -> dict[str, Any]:
    """Read an image file and measure the plane that speaks for it.

    Parameters
    ----------
    source : str or pathlib.Path
        As `read_image` takes it.
    asked : FocusScoreParameters
    max_bytes : int
        Limit of the decoded size.

    Returns
    -------
    dict
        As `measured`.

    Raises
    ------
    BadInputError, SourceMissingError, PermanentError, TransientError, MemoryError
        As `read_image`.
    """
    return measured(_read(source, asked, max_bytes=max_bytes), asked)


def _read(source: str | Path, asked: FocusScoreParameters, *, max_bytes: int) -> Image:
    return read_image(
        source, channel=asked.channel, z=asked.z, time=asked.time, scene=asked.scene, max_bytes=max_bytes
    )


def _thumbnail(image: Image, size_px: int) -> bytes | None:
    return bounded_jpeg(image.pixels, size_px, max_bytes=MAX_THUMBNAIL_BYTES) if size_px else None


def measured(image: Image, asked: FocusScoreParameters) -> dict[str, Any]:
    """Measure an image, and tell what is known of it.

    Parameters
    ----------
    image : Image
    asked : FocusScoreParameters

    Returns
    -------
    dict
        As `focus_score` answers, without what concerns the file.
    """
    features = measure(image.pixels)
    quality, without_value = measure_quality(
        image.pixels, asked.features, QualityOptions(scale=asked.scale, bits=asked.bits)
    )
    height, width = image.shape
    return {
        "plls": features.plls,
        "signal_fraction": features.signal_fraction,
        "empty": features.empty,
        **({"undefined": features.undefined} if features.undefined is not None else {}),
        "width": width,
        "height": height,
        **image.facts.to_json(),
        **quality,
        **({"undefined_features": without_value} if without_value else {}),
    }


def _pixels(responses: Mapping[str, Any]) -> str:
    """Name what was done to the pixels before: handlers that change them answer ``lossless: false``."""
    done = [
        str(response.get("description") or response.get("operator") or "unknown operator")
        for response in responses.values()
        if isinstance(response, Mapping) and response.get("lossless") is False
    ]
    return " then ".join(done) or ORIGINAL_PIXELS
