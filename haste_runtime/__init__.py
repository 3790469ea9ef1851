"""What all programs share that touches the outside: settings, logs, the AMQP link, frames on pipes."""
