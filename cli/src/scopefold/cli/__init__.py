"""The `scopefold` command: run, operate and replay Scopefold.

Owns what people type and read. Refuses to decide anything: it asks the services, or folds the log.
"""
