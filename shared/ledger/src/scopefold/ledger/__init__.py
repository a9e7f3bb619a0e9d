"""The append-only log on NATS JetStream: declare it, append to it, read it, follow it.

Owns how events are stored and in which order they come back. Refuses to know what any event means.
"""
