"""A handler of one's own: counts bright objects in a fluorescence image."""

from collections.abc import Mapping
from typing import Any

from scipy import ndimage

from haste_core.messages import TaskMessage
from haste_workers import TaskContext
from haste_workers.imaging.read import read_image


def count_nuclei(_job: Mapping[str, Any], _task: TaskMessage, context: TaskContext) -> dict[str, Any]:
    """Count connected regions that are brighter than a threshold and not smaller than some pixels."""
    pixels = read_image(context.source_path()).pixels
    threshold = context.parameters.get("threshold") or pixels.mean() + 2 * pixels.std()
    regions, count = ndimage.label(pixels > threshold)
    sizes = ndimage.sum_labels(pixels > threshold, regions, range(1, count + 1))
    large = sizes[sizes >= context.parameters.get("min_pixels", 30)]
    return {"nuclei": len(large), "mean_area_px": large.mean() if len(large) else None}
