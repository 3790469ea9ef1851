"""Files as microscopes' programs write them, made by hand or by other libraries than those that read them."""

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pylibCZIrw import czi


def write_czi(
    path: Path,
    planes: Mapping[tuple[int, int, int, int], NDArray[Any]],
    *,
    tile_px: int | None = None,
    compression: str = "zstd1:ExplicitLevel=1",
    **metadata: Any,
) -> None:
    """Write planes by (scene, time, channel, z) as Zeiss' library does; if asked, each as tiles in a row."""
    with czi.create_czi(str(path), exist_ok=True, compression_options=compression) as document:
        for (scene, time, channel, z), pixels in planes.items():
            place = {"T": time, "C": channel, "Z": z}
            for number in range(1 if tile_px is None else pixels.shape[1] // tile_px):
                tile = pixels if tile_px is None else pixels[:, number * tile_px : (number + 1) * tile_px]
                across = 10 * scene + number * (tile_px or 0)  # scenes may overlap
                document.write(np.ascontiguousarray(tile), location=(across, -7), plane=place, scene=scene)
        document.write_metadata("test", **metadata)


@dataclass(frozen=True, kw_only=True)
class LifImage:
    """An image of a LIF: its memory, and what XML says of it.

    `dimensions` are (DimID, size, bytes from one to the next, length in metres); `channels` (bits, offset,
    ChannelTag, name).
    """

    name: str
    memory: bytes
    dimensions: Sequence[tuple[int, int, int, float]]
    channels: Sequence[tuple[int, int, int, str]]
    more: str = ""

    def xml(self, number: int) -> str:
        """Describe the image as LAS X does."""
        dimensions = "".join(
            f'<DimensionDescription DimID="{kind}" NumberOfElements="{size}" Origin="0" Length="{length}" '
            f'Unit="m" BitInc="0" BytesInc="{step}"/>'
            for kind, size, step, length in self.dimensions
        )
        channels = "".join(
            f'<ChannelDescription DataType="0" ChannelTag="{tag}" Resolution="{bits}" Min="0" Max="1" '
            f'NameOfMeasuredQuantity="" Unit="" LUTName="{name}" IsLUTInverted="0" BytesInc="{offset}" '
            'BitInc="0"/>'
            for bits, offset, tag, name in self.channels
        )
        return (
            f'<Element Name="{self.name}" UniqueID="{number}"><Data><Image><ImageDescription><Channels>'
            f"{channels}</Channels><Dimensions>{dimensions}</Dimensions></ImageDescription>{self.more}"
            f'</Image></Data><Memory Size="{len(self.memory)}" MemoryBlockID="MemBlock_{number}"/></Element>'
        )


def lif_bytes(*images: LifImage, more: str = "") -> bytes:
    """Put images together to a LIF of version 2."""
    elements = "".join(image.xml(number) for number, image in enumerate(images))
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="test.lif"><Data><Experiment/></Data>'
        f"<Children>{elements}{more}</Children></Element></LMSDataContainerHeader>"
    )
    blocks = [
        struct.pack("<IIBQBI", 0x70, 2 * len(name) + 14, 0x2A, len(image.memory), 0x2A, len(name))
        + name.encode("utf-16-le")
        + image.memory
        for image, name in ((image, f"MemBlock_{number}") for number, image in enumerate(images))
    ]
    start = struct.pack("<IIBI", 0x70, 2 * len(xml) + 5, 0x2A, len(xml))
    return b"".join([start, xml.encode("utf-16-le"), *blocks])


def stack_in_lif(name: str, pixels: NDArray[Any], axes: str, **more: Any) -> LifImage:
    """Describe an array whose axes are letters of TMCAZYX, C at most once."""
    kinds = {"X": 1, "Y": 2, "Z": 3, "T": 4, "A": 6, "M": 10}
    steps = dict(zip(axes, pixels.strides, strict=True))
    sizes = dict(zip(axes, pixels.shape, strict=True))
    return LifImage(
        name=name,
        memory=pixels.tobytes(),
        dimensions=[(kinds[a], sizes[a], steps[a], 1e-6 * (sizes[a] - 1)) for a in axes if a != "C"],
        channels=[
            (8 * pixels.itemsize, number * steps.get("C", 0), 0, f"LUT{number}")
            for number in range(sizes.get("C", 1))
        ],
        **more,
    )


_BOOL, _UINT32, _DOUBLE, _STRING, _LEVEL = 1, 3, 6, 8, 11


def lite(items: Mapping[str, Any]) -> bytes:
    """Encode metadata as NIS-Elements does ("lite variant"): bool, int, float, str and mappings."""
    return b"".join(_lite(name, value) for name, value in items.items())


def _lite(name: str, value: Any) -> bytes:
    def head(kind: int) -> bytes:
        return struct.pack("<BB", kind, len(name) + 1) + (name + "\0").encode("utf-16-le")

    if isinstance(value, bool):
        return head(_BOOL) + struct.pack("<B", value)
    if isinstance(value, int):
        return head(_UINT32) + struct.pack("<I", value)
    if isinstance(value, float):
        return head(_DOUBLE) + struct.pack("<d", value)
    if isinstance(value, str):
        return head(_STRING) + (value + "\0").encode("utf-16-le")
    start, inside = head(_LEVEL), lite(value)
    length = len(start) + struct.calcsize("<IQ") + len(inside)
    return start + struct.pack("<IQ", len(value), length) + inside + bytes(8 * len(value))


def nd2_bytes(
    frames: Mapping[int, NDArray[Any]],
    *,
    loops: Sequence[Mapping[str, Any]] = (),
    channels: Sequence[str] = ("mono",),
    packed: bool = False,
    padding_px: int = 0,
    **attributes: Any,
) -> bytes:
    """Write frames of (M, N, samples) by their number as an ND2 of version 3."""
    height, width, samples = next(iter(frames.values())).shape
    itemsize = next(iter(frames.values())).itemsize
    described = {
        "uiWidth": width,
        "uiWidthBytes": (width + padding_px) * samples * itemsize,
        "uiHeight": height,
        "uiComp": samples,
        "uiBpcInMemory": 8 * itemsize,
        "uiBpcSignificant": 8 * itemsize,
        "uiSequenceCount": len(frames),
        "eCompression": 0 if packed else 2,
        "dCompressionParam": 1.0,
        **attributes,
    }
    planes = {
        f"a{number}": {
            "uiCompCount": samples // len(channels),
            "sDescription": name,
            "pFluorescentProbe": {"m_uiCount": 0},
        }
        for number, name in enumerate(channels)
    }
    picture = {
        "bCalibrated": True,
        "dCalibration": 0.325,
        "dTimeAbsolute": 2_460_000.75,
        "dXPos": 100.0,
        "dYPos": -200.0,
        "dZPos": 3.0,
        "sPicturePlanes": {"uiCount": len(channels), "sPlaneNew": planes},
    }
    chunks = {
        "ImageAttributesLV!": lite({"SLxImageAttributes": described}),
        "ImageMetadataSeqLV|0!": lite({"SLxPictureMetadata": picture}),
        "CustomData|AcqTimesCache!": np.arange(len(frames), dtype="<f8").tobytes(),
    }
    if loops:
        chunks["ImageMetadataLV!"] = lite({"SLxExperiment": _nested(list(loops))})
    for number, pixels in frames.items():
        rows = np.pad(pixels, ((0, 0), (0, padding_px), (0, 0))).tobytes()
        chunks[f"ImageDataSeq|{number}!"] = bytes(8) + (zlib.compress(rows) if packed else rows)
    return _nd2_file(chunks)


def _nested(loops: list[Mapping[str, Any]]) -> dict[str, Any]:
    first, *rest = loops
    return {**first, **({"ppNextLevelEx": {"": _nested(rest)}} if rest else {})}


def time_loop(count: int) -> dict[str, Any]:
    """Describe a time series."""
    periods = {"dStart": 0.0, "dPeriod": 1.0, "dDuration": 1.0}
    return {"eType": 1, "uLoopPars": {"uiCount": count, **periods}}


def stage_loop(*points: tuple[float, float]) -> dict[str, Any]:
    """Describe positions of the stage, in micrometres."""
    listed = {f"a{number}": {"dPosX": x, "dPosY": y} for number, (x, y) in enumerate(points)}
    return {"eType": 2, "uLoopPars": {"Points": listed}}


def focus_loop(count: int) -> dict[str, Any]:
    """Describe a focus series."""
    return {"eType": 4, "uLoopPars": {"uiCount": count, "dZLow": 0.0, "dZHigh": 1.0, "dZStep": 0.5}}


def _nd2_file(chunks: Mapping[str, bytes]) -> bytes:
    magic, name_bytes = 0x0ABECEDA, 4072
    signature = b"ND2 FILE SIGNATURE CHUNK NAME01!"
    file = struct.pack("<IIQ32s64s", magic, 32, 64, signature, b"Ver3.0")
    table = b""
    for name, data in chunks.items():
        table += name.encode() + struct.pack("<QQ", len(file), len(data))
        file += (
            struct.pack("<IIQ", magic, name_bytes, len(data)) + name.encode().ljust(name_bytes, b"\0") + data
        )
    location = len(file)
    end = b"ND2 CHUNK MAP SIGNATURE 0000001!" + struct.pack("<Q", location)
    start = struct.pack("<IIQ", magic, 32, len(table) + len(end))
    return file + start + b"ND2 FILEMAP SIGNATURE NAME 0001!" + table + end
