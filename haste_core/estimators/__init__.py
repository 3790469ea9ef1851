"""Estimators: what preprocessing an image will save, told from those that were preprocessed before."""

from haste_core.estimators.cpu_seconds import CpuSeconds
from haste_core.estimators.interpolation import Interpolation
from haste_core.estimators.prospects import Budget, Expectation, Prospects
from haste_core.estimators.smooth_course import SmoothCourse

__all__ = ["Budget", "CpuSeconds", "Expectation", "Interpolation", "Prospects", "SmoothCourse"]
