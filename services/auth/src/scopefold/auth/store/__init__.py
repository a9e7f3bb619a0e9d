"""Where auth keeps things: secrets and short-lived state in JetStream buckets, the fold of the log in SQLite."""
