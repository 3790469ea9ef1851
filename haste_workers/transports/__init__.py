"""How a worker gets its tasks and sends its results: over RabbitMQ, or through pipes to its server."""
