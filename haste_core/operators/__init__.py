"""Operators: what preprocessing may do to pixels, and whether it loses any."""

from haste_core.operators.chain import Chain
from haste_core.operators.floodfill import Floodfill, floodfill
from haste_core.operators.operator import Operator
from haste_core.operators.recompress import Recompress
from haste_core.operators.threshold import Threshold, darkened

__all__ = ["Chain", "Floodfill", "Operator", "Recompress", "Threshold", "darkened", "floodfill"]
