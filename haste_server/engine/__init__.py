"""The engine: hands tasks out in rank order, applies results, decides, and recovers what was lost."""

from haste_server.engine.engine import Beside, Engine, EngineSettings

__all__ = ["Beside", "Engine", "EngineSettings"]
