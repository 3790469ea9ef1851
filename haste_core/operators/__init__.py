"""Operators: what preprocessing may do to pixels, and whether it loses any."""

from haste_core.operators.floodfill import Floodfill, floodfill
from haste_core.operators.operator import Operator
from haste_core.operators.recompress import Recompress

__all__ = ["Floodfill", "Operator", "Recompress", "floodfill"]
