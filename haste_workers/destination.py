"""The server that `upload` sends to, where it is another one than the one that hands the tasks out."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, AnyHttpUrl, BaseModel, ConfigDict, Field, SecretStr, field_validator

from haste_runtime.folders import LocalPath
from haste_workers.pacing import SLOWEST_PER_S, Hours

DEFAULT_PATIENCE_S = 3600.0


def _hours(text: str) -> str:
    return str(Hours.parse(text))


class Destination(BaseModel):
    """How that server is reached.

    Attributes
    ----------
    url : str
        For example ``https://haste.example.org``.
    token : SecretStr, optional
        Its API token.
    ca_file : Path, optional
        Certificates of the authorities to trust; None: as the environment says.
    proxy : str, optional
        By way of which it is asked; None: as the environment says.
    bytes_per_s : int, optional
        How fast this worker's tasks send, all together; None: as fast as they can.
    hours : str, optional
        At which hours of the day they send, such as ``18-07``; None: at all.
    patience_s : float
        How long a task waits by itself for a server that is away or lets nobody in. Nothing else could be
        sent meanwhile, so it is better waited for once than by each task.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    token: SecretStr | None = None
    ca_file: LocalPath | None = None
    proxy: str | None = None
    bytes_per_s: Annotated[int, Field(ge=SLOWEST_PER_S)] | None = None
    hours: Annotated[str, AfterValidator(_hours)] | None = None
    patience_s: Annotated[float, Field(ge=0)] = DEFAULT_PATIENCE_S

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        AnyHttpUrl(url)
        return url.rstrip("/")
