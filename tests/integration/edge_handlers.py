"""Handlers that take the time of preprocessing an image and of sending it, and do neither."""

import time

from haste_workers.answers import Answer

RAW_BYTES = 400_000
BYTES_PER_S = 5e6
PREPROCESS_S = 0.08
WORTHY = 14


def preprocess(job, task, context):
    time.sleep(PREPROCESS_S)
    bytes_after = RAW_BYTES - (160_000 if job["index"] < WORTHY else 2_000)
    target = context.output_dir / "smaller"
    target.write_bytes(b"smaller")
    place = context.place_of(target).model_copy(update={"size_bytes": bytes_after})
    return Answer({"bytes_before": RAW_BYTES, "bytes_after": bytes_after}, place)


def upload(job, task, context):
    duration_s = (task.place.size_bytes or RAW_BYTES) / BYTES_PER_S
    time.sleep(duration_s)
    return {"duration_s": duration_s}
