"""The truth: jobs, tasks, decisions and streams in SQLite or MariaDB."""
