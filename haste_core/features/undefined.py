"""The answer of a feature that has no value for an image: never a number that looks like one."""


class UndefinedFeatureError(ValueError):
    """A feature has no value for the image.

    Raised with a reason that tells a microscopist what is wrong with the image. CellProfiler answers
    0 here, which for a focus score reads as "very sharp"; an image without a score must never be
    mistaken for a good one.
    """
