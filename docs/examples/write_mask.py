"""A handler that makes a new file and hands it to the tasks after it."""

from collections.abc import Mapping
from typing import Any

import tifffile

from haste_core.errors import BadInputError
from haste_core.messages import TaskMessage
from haste_workers import Answer, TaskContext
from haste_workers.imaging.read import open_image


def write_mask(_job: Mapping[str, Any], _task: TaskMessage, context: TaskContext) -> Answer:
    """Write where the image is bright as a mask; later tasks work on the mask."""
    mask = context.output_dir / "mask.tif"
    with open_image(context.source_path()) as image:
        for number, plane in enumerate(image.planes):
            pixels = plane.decode()
            if pixels.max() == pixels.min():
                raise BadInputError(f"plane {number} is uniform; there is nothing to separate")
            tifffile.imwrite(mask, (pixels > pixels.mean()).astype("uint8"), append=number > 0)
            context.progress((number + 1) / len(image.planes), "thresholding")
    # A number made from a mask is not one of original pixels: `lossless: False` keeps them apart.
    response = {"operator": "mask", "lossless": False, "planes": len(image.planes)}
    return Answer(response, place=context.place_of(mask), message="mask written")
