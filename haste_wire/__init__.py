"""How programs talk: an AMQP link with confirms, and frames on a pipe."""
