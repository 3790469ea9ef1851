"""What a connection to RabbitMQ is asked for."""

from haste_runtime.amqp_connection import connection_parameters
from haste_server.settings import ServerSettings


def test_rabbitmq_notices_a_vanished_worker_before_its_leases_end() -> None:
    heartbeat_s = connection_parameters("amqp://broker/", name="worker").heartbeat
    assert 2 * heartbeat_s < ServerSettings().lease_s


def test_the_url_may_ask_for_another_heartbeat() -> None:
    assert connection_parameters("amqp://broker/?heartbeat=3", name="worker").heartbeat == 3
