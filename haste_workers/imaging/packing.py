"""How preprocessing packs pixels: by which codec, and how hard it tries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Codec: TypeAlias = Literal["deflate", "jxl", "zstd"]
Effort: TypeAlias = Literal["fast", "small"]


@dataclass(frozen=True)
class Packing:
    """A codec and the work that it may take.

    Attributes
    ----------
    codec : {'deflate', 'jxl', 'zstd'}
        Deflate is what every reader of PNG and TIFF knows. The others are for receivers that read them: a PNG
        becomes a JPEG XL file, a TIFF gets pages of JPEG XL or Zstandard. What a codec cannot hold (palettes,
        floats; for Zstandard, PNG) is packed by deflate.
    effort : {'fast', 'small'}
        ``small`` takes about ten times as long, for up to a fifth fewer bytes.
    """

    codec: Codec = "deflate"
    effort: Effort = "fast"

    @property
    def deflate_levels(self) -> tuple[int, ...]:
        """Of libdeflate, 1 to 12; the best of several is found on a part of the picture.

        What 6 gains over 1 depends: up to 10 % on smooth images, less than nothing on 16-bit noise.
        """
        return (1, 6) if self.effort == "fast" else (12,)

    @property
    def jxl_efforts(self) -> tuple[int, ...]:
        """Of libjxl, from the first that pays; see `haste_workers.imaging.jxl_boxes.paying_efforts`.

        For 3 megapixels 1 takes 8 ms; 2 takes 40 to 60 ms, for 6 to 30 % fewer bytes. Beyond 3, time grows
        and bytes hardly shrink.
        """
        return (1, 2) if self.effort == "fast" else (3,)

    @property
    def zstd_level(self) -> int:
        """Of Zstandard. Above 1 it packs noise no better, but 16-bit images and smooth ones."""
        return 1 if self.effort == "fast" else 12
