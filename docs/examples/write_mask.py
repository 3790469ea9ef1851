"""A handler that makes a new file and hands it to the tasks after it."""

from collections.abc import Mapping
from typing import Any

import tifffile

from haste_core.errors import BadInputError
from haste_core.messages import TaskMessage
from haste_workers import Answer, TaskContext
from haste_workers.imaging.read import read_image


def write_mask(_job: Mapping[str, Any], _task: TaskMessage, context: TaskContext) -> Answer:
    """Write where the image is bright as a mask; later tasks work on the mask."""
    planes = read_image(context.source_path()).planes
    if planes.max() == planes.min():
        raise BadInputError("the image is uniform; there is nothing to separate")
    mask = context.output_dir / "mask.tif"
    for number, plane in enumerate(planes):
        tifffile.imwrite(mask, (plane > plane.mean()).astype("uint8"), append=number > 0)
        context.progress((number + 1) / len(planes), "thresholding")
    # A number made from a mask is not one of original pixels: `lossless: False` keeps them apart.
    response = {"operator": "mask", "lossless": False, "planes": len(planes)}
    return Answer(response, place=context.place_of(mask), message="mask written")
