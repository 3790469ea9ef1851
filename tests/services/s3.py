"""An S3 server in a thread of this process: moto's, which checks signatures and rights."""

import json
from typing import Any, Self

import boto3
import requests
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

_MAY_READ_AND_WRITE = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
}


class S3Server:
    """A server with one user, whose key is made anew at each start; without a key nothing is allowed.

    Attributes
    ----------
    connection : dict
        As settings name it: ``endpoint_url``, ``region``, ``access_key_id``, ``secret_access_key``.
    port : int
    client : botocore's client
        For making buckets and putting objects.
    """

    connection: dict[str, str]
    port: int
    client: Any

    def __enter__(self) -> Self:
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.port = int(port)
        self.endpoint_url = f"http://{host}:{port}"
        key = self._make_user()
        self._need_rights(after_requests="0")
        self.connection = {
            "endpoint_url": self.endpoint_url,
            "region": "us-east-1",
            "access_key_id": key["AccessKeyId"],
            "secret_access_key": key["SecretAccessKey"],
        }
        self.client = self._client("s3", key["AccessKeyId"], key["SecretAccessKey"])
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._need_rights(after_requests="inf")
        self._ask("reset")
        self._server.stop()
        if self._server._server is not None:
            self._server._server.server_close()

    def _make_user(self) -> dict[str, str]:
        rights = self._client("iam", "first", "key")
        rights.create_user(UserName="worker")
        policy = {
            "UserName": "worker",
            "PolicyName": "all",
            "PolicyDocument": json.dumps(_MAY_READ_AND_WRITE),
        }
        rights.put_user_policy(**policy)
        key: dict[str, str] = rights.create_access_key(UserName="worker")["AccessKey"]
        rights.close()
        return key

    def _client(self, service: str, key_id: str, secret: str) -> Any:
        session = boto3.Session(
            aws_access_key_id=key_id, aws_secret_access_key=secret, region_name="us-east-1"
        )
        return session.client(service, endpoint_url=self.endpoint_url)

    def _need_rights(self, *, after_requests: str) -> None:
        self._ask("reset-auth", after_requests)

    def _ask(self, what: str, body: str = "") -> None:
        with requests.Session() as session:
            session.trust_env = False
            session.post(f"{self.endpoint_url}/moto-api/{what}", data=body).raise_for_status()
