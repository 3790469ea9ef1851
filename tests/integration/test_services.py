"""The test services themselves: isolation, kill, restart, and nothing left behind."""

import os
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from urllib.parse import urlsplit

import pika
import pytest
from sqlalchemy import Connection, NullPool, create_engine, inspect, make_url, text

from tests.services.mariadb import MariaDB, create_database, drop_database
from tests.services.process import ServiceError, ServiceProcess, base_environ
from tests.services.programs import ProgramMissingError, check_services, find_program
from tests.services.rabbitmq import RabbitMQ

_REPOSITORY = Path(__file__).resolve().parents[2]


def _connect(url: str) -> Connection:
    return create_engine(url, poolclass=NullPool).connect()


def _is_listening(port: int | None) -> bool:
    assert port is not None
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _declare(url: str, queue: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        connection.channel().queue_declare(queue, durable=True)


def _wait_until_declared_for_good(data: Path) -> None:
    """Wait until a broker that is killed comes back with all queues.

    RabbitMQ 3.10 answers when Mnesia has written down a declaration, and Mnesia writes a little later that it
    holds. Killed in between, the broker takes the queue back, with the messages that it has confirmed.
    """
    deadline = time.monotonic() + 20
    for log in data.glob("*/LATEST.LOG"):
        while (written := log.read_bytes()).count(b"committed") < written.count(b"presume_abort"):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def _publish(url: str, queue: str, body: bytes) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.queue_declare(queue, durable=True)
        channel.confirm_delivery()
        channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2), mandatory=True)


def _take(url: str, queue: str) -> bytes | None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.queue_declare(queue, durable=True)
        body: bytes | None
        _, _, body = channel.basic_get(queue, auto_ack=True)
        return body


class TestMariaDB:
    def test_each_database_is_empty_and_apart(self, mariadb_server: MariaDB) -> None:
        first, second = mariadb_server.new_database(), mariadb_server.new_database()
        with _connect(first) as connection:
            connection.execute(text("CREATE TABLE plate (well VARCHAR(8))"))
        with _connect(second) as connection:
            assert inspect(connection).get_table_names() == []
        for url in (first, second):
            mariadb_server.drop_database(url)

    def test_dropped_database_is_gone(self, mariadb_server: MariaDB) -> None:
        url = mariadb_server.new_database()
        mariadb_server.drop_database(url)
        with _connect(mariadb_server.url) as connection:
            assert make_url(url).database not in inspect(connection).get_schema_names()

    def test_version_and_durability_are_those_of_production(self, mariadb_url: str) -> None:
        query = text("SELECT version(), @@innodb_flush_log_at_trx_commit")
        with _connect(mariadb_url) as connection:
            version, flush = connection.execute(query).one()
        assert tuple(int(part) for part in version.split(".")[:2]) >= (10, 6)
        assert flush == 1

    @pytest.mark.private_services
    def test_a_private_server_keeps_rows_through_a_kill_and_leaves_alone_what_is_not_its_own(
        self, mariadb_server: MariaDB, tmp_path: Path
    ) -> None:
        with _connect(mariadb_server.url) as others:
            others.execute(text("CREATE TEMPORARY TABLE mysql.plate (well VARCHAR(8)) ENGINE=Aria"))
            with MariaDB(tmp_path / "mariadb") as server:
                url = server.new_database()
                with _connect(url) as connection:
                    connection.execute(text("CREATE TABLE plate (well VARCHAR(8))"))
                    connection.execute(text("INSERT INTO plate VALUES ('A01')"))
                    connection.commit()
                server.kill()
                assert not _is_listening(make_url(url).port)
                server.start()
                with _connect(url) as connection:
                    assert connection.execute(text("SELECT well FROM plate")).scalar_one() == "A01"
            assert not _is_listening(make_url(url).port)
            others.execute(text("ALTER TABLE mysql.plate ADD COLUMN site INT"))  # its files are still there

    def test_plain_mysql_url_of_a_given_server_serves(self, mariadb_server: MariaDB) -> None:
        url = create_database(mariadb_server.url.replace("mysql+pymysql://", "mysql://"))
        with _connect(url) as connection:
            assert inspect(connection).get_table_names() == []
        drop_database(url)


class TestRabbitMQ:
    def test_virtual_hosts_do_not_see_each_other(self, rabbitmq_server: RabbitMQ, amqp_url: str) -> None:
        other_url = rabbitmq_server.new_vhost()
        _publish(amqp_url, "images", b"A01")
        assert _take(other_url, "images") is None
        assert _take(amqp_url, "images") == b"A01"
        rabbitmq_server.delete_vhost(other_url)

    @pytest.mark.private_services
    def test_confirmed_messages_survive_a_kill_but_not_an_erasure(
        self, amqp_url: str, tmp_path: Path
    ) -> None:
        data = tmp_path / "rabbitmq/data"
        with RabbitMQ(tmp_path / "rabbitmq") as broker:
            _declare(broker.url, "images")
            _wait_until_declared_for_good(data)
            _publish(broker.url, "images", b"A01")
            broker.kill()
            assert not _is_listening(pika.URLParameters(broker.url).port)
            _publish(amqp_url, "images", b"B02")
            broker.start()
            assert _take(broker.url, "images") == b"A01"
            broker.kill()
            broker.erase()
            assert not data.exists()
            ports = [pika.URLParameters(broker.url).port, urlsplit(broker.management_url).port]
        assert not any(_is_listening(port) for port in ports)


class TestServiceProcess:
    def test_program_that_ends_early_shows_its_log(self, tmp_path: Path) -> None:
        process = ServiceProcess(
            ["/bin/sh", "-c", "echo no space left; exit 3"],
            log=tmp_path / "log",
            environ=base_environ(),
        )
        with pytest.raises(ServiceError, match=r"(?s)ended with 3.*no space left"):
            process.wait_until(lambda: False, timeout_s=20)

    def test_server_dies_with_a_killed_test_run(self, tmp_path: Path) -> None:
        script = textwrap.dedent(
            """
            import sys, time
            from pathlib import Path
            from tests.services.process import ServiceProcess, base_environ

            process = ServiceProcess(
                ["sleep", "600"], log=Path(sys.argv[1]), environ=base_environ()
            )
            print(process.pid, flush=True)
            time.sleep(600)
            """
        )
        with subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "log")],
            cwd=_REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        ) as run:
            assert run.stdout is not None
            server_pid = int(run.stdout.readline())
            assert _is_running(server_pid)
            run.kill()
        deadline = time.monotonic() + 20
        while _is_running(server_pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not _is_running(server_pid)


class TestAdvice:
    def test_missing_programs_are_answered_with_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shutil.which", lambda name, path: None)
        with pytest.raises(ProgramMissingError, match="rabbitmq-server, mariadb-server-core"):
            check_services({})

    def test_urls_stand_in_for_programs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shutil.which", lambda name, path: None)
        check_services({"HASTE_TEST_BROKER_URL": "amqp://lab/", "HASTE_TEST_DATABASE_URL": "mysql://lab"})

    @pytest.mark.parametrize(
        ("variable", "url"),
        [
            ("HASTE_TEST_BROKER_URL", "amqp://lab:a-password@127.0.0.1:9/"),
            ("HASTE_TEST_DATABASE_URL", "mysql://lab:a-password@127.0.0.1:9"),
        ],
    )
    def test_a_named_server_that_is_dead_is_told_in_a_sentence(self, variable: str, url: str) -> None:
        for program in (["tests.services"], ["pytest", "-q", __file__]):
            told = subprocess.run(
                [sys.executable, "-m", *program],
                env=os.environ | {variable: url},
                capture_output=True,
                text=True,
                check=False,
            )
            said = told.stdout + told.stderr
            assert told.returncode != 0
            assert f"{variable} names {url.replace('lab:a-password@', '').rstrip('/')}, which cannot" in said
            assert "Connection refused" in said
            assert "Traceback" not in said
            assert "a-password" not in said

    def test_broker_is_the_plain_script(self) -> None:
        if Path("/usr/lib/rabbitmq/bin/rabbitmq-server").exists():
            assert find_program("rabbitmq-server") == "/usr/lib/rabbitmq/bin/rabbitmq-server"


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A killed process that nobody has reaped yet still has its number.
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return not state.stdout.startswith("Z") and bool(state.stdout)
