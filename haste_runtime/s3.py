"""How to reach S3, and what speaks its protocol: MinIO, Ceph, Garage, SeaweedFS."""

from __future__ import annotations

from typing import Self

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, SecretStr, field_validator, model_validator


class S3Connection(BaseModel):
    """Where a bucket is, and by which right.

    What is not said is looked for as boto3 does: in ``AWS_…`` variables, in ``~/.aws``, in the role of the
    machine.

    Attributes
    ----------
    endpoint_url : str, optional
        Of a server that is not Amazon's, for example ``https://minio.example.org:9000``.
    region : str, optional
        For example ``eu-north-1``; servers of one's own seldom have any.
    access_key_id : str, optional
    secret_access_key : SecretStr, optional
    anonymous : bool
        For public buckets: ask without any key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    anonymous: bool = False

    @field_validator("endpoint_url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        if url is not None:
            AnyHttpUrl(url)
        return url

    @model_validator(mode="after")
    def _one_right(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key go together: give both or none")
        if self.anonymous and self.access_key_id is not None:
            raise ValueError("either anonymous or with a key, not both")
        return self
