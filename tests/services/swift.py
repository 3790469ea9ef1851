"""OpenStack Swift itself for tests: one node that keeps one copy of each object."""

import base64
import getpass
import os
import secrets
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import requests

from tests.services.process import ServiceError, ServiceProcess, base_environ, free_port

_START_TIMEOUT_S = 60.0
_KINDS = ("account", "container", "object")
_ACCOUNT, _USER = "haste", "worker"

_COMMON = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {folder}
user = {user}
workers = 0
log_address = {folder}/nowhere
"""

_BACKEND = """\
devices = {folder}/devices
mount_check = false
fallocate_reserve = 0
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""

# Tokens are signed (fernet), so that no memcached is needed to remember them.
_PROXY = """\
[pipeline:main]
pipeline = catch_errors healthcheck cache s3api tempauth container-quotas slo proxy-server
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{nobody}
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{name} = {password} .admin
fernet_key_0 = {token_key}
active_fernet_key_id = 0
[filter:container-quotas]
use = egg:swift#container_quotas
[filter:slo]
use = egg:swift#slo
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
"""

# Which server keeps what: here always the same one.
_MAKE_RINGS = """
import sys
from swift.common.ring import RingBuilder

for kind, port in (each.split("=") for each in sys.argv[2:]):
    ring = RingBuilder(part_power=2, replicas=1, min_part_hours=0)
    ring.add_dev({"ip": "127.0.0.1", "port": int(port), "device": "d1", "region": 1, "zone": 1, "weight": 1})
    ring.rebalance()
    ring.get_ring().save(f"{sys.argv[1]}/{kind}.ring.gz")
"""


class Swift:
    """A private Swift with its own ports, account and data, in `folder`; it also speaks S3 on the same port.

    Parameters
    ----------
    folder
        Folder for the data, the configuration and the logs, on a file system with extended attributes.

    Attributes
    ----------
    port
        Of the proxy server, on the loopback interface.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._password = secrets.token_hex(16)
        self._ports = {kind: free_port() for kind in _KINDS}
        self.port = free_port()
        self._running = ExitStack()

    def connection(self, port: int | None = None) -> dict[str, str]:
        """Return how a tier's settings name the account, perhaps by the port of a proxy before it."""
        return {
            "auth_url": f"http://127.0.0.1:{port or self.port}/auth/v1.0",
            "user": f"{_ACCOUNT}:{_USER}",
            "key": self._password,
        }

    def s3_connection(self, port: int | None = None) -> dict[str, str]:
        """Return how a tier's settings name the same account as S3."""
        return {
            "endpoint_url": f"http://127.0.0.1:{port or self.port}",
            "region": "us-east-1",
            "access_key_id": f"{_ACCOUNT}:{_USER}",
            "secret_access_key": self._password,
        }

    def start(self) -> None:
        """Start the servers; return when they answer.

        Raises
        ------
        ServiceError
            If they do not start; the message has the end of a log.
        """
        self._configure()
        with ExitStack() as started:
            for kind in (*_KINDS, "proxy"):
                program = Path(sys.executable).with_name(f"swift-{kind}-server")
                process = ServiceProcess(
                    [str(program), str(self._folder / f"{kind}.conf"), "verbose"],
                    log=self._folder / f"{kind}.log",
                    environ=base_environ(),
                )
                started.callback(process.kill)
            process.wait_until(self._answers, timeout_s=_START_TIMEOUT_S)
            self._running = started.pop_all()

    def _configure(self) -> None:
        disk = self._folder / "devices" / "d1"
        disk.mkdir(parents=True)
        try:
            os.setxattr(disk, "user.swift.metadata", b"")
        except OSError as error:
            raise ServiceError(
                f"Swift needs extended attributes, which {disk} cannot have: set TMPDIR to a folder on ext4"
            ) from error
        (self._folder / "swift.conf").write_text(
            f"[swift-hash]\nswift_hash_path_suffix = {secrets.token_hex(8)}\n"
            "[storage-policy:0]\nname = one\ndefault = yes\n"
        )
        settings = {"folder": self._folder, "user": getpass.getuser()}
        for kind, port in self._ports.items():
            (self._folder / f"{kind}.conf").write_text(
                (_COMMON + _BACKEND).format(**settings, port=port, kind=kind)
            )
        self._make_rings()
        token_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        (self._folder / "proxy.conf").write_text(
            (_COMMON + _PROXY).format(
                **settings,
                port=self.port,
                account=_ACCOUNT,
                name=_USER,
                password=self._password,
                token_key=token_key,
                nobody=free_port(),
            )
        )

    def _make_rings(self) -> None:
        # In a process of its own: importing Swift warns of eventlet, and changes Python's own modules.
        ports = [f"{kind}={port}" for kind, port in self._ports.items()]
        command = [sys.executable, "-c", _MAKE_RINGS, str(self._folder), *ports]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ServiceError(f"Swift's rings could not be made:\n{done.stderr}")

    def _answers(self) -> bool:
        try:
            with requests.Session() as session:
                session.trust_env = False
                answer = session.get(
                    self.connection()["auth_url"],
                    headers={"X-Auth-User": self.connection()["user"], "X-Auth-Key": self._password},
                )
                account = session.head(
                    answer.headers.get("X-Storage-Url", ""),
                    headers={"X-Auth-Token": answer.headers.get("X-Auth-Token", "")},
                )
        except requests.RequestException:
            return False
        return account.ok

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()
