"""RabbitMQ and MariaDB for the tests and benchmarks: private instances, or those of a given URL.

`RabbitMQ`, `MariaDB` and `Swift` each run one server of their own on free loopback ports with their own
data folder; several can run at once, and each can be stopped, killed and restarted.
`python -m tests.services` tells whether this machine has what they need.
"""
