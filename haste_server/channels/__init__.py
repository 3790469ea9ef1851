"""The ways by which alerts leave the server: webhooks and e-mail."""
