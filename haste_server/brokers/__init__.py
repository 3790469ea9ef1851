"""Brokers: what carries tasks to workers and results back, over RabbitMQ or inside one process."""
