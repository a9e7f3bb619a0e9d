"""A bucket of which the server can write over one entry on its disk, as buckets of the client library's own cannot."""

from nats.js.api import DiscardPolicy, KeyValueConfig, StorageType, StreamConfig


def erasable(config: KeyValueConfig, replicas: int) -> StreamConfig:
    """The stream of such a bucket. What the library forbids for good in its own (`deny_delete`) is what this needs."""
    return StreamConfig(
        name=f"KV_{config.bucket}",
        description=config.description,
        subjects=[f"$KV.{config.bucket}.>"],
        storage=StorageType.FILE,
        max_msgs_per_subject=config.history,
        max_bytes=config.max_bytes,
        num_replicas=replicas,
        discard=DiscardPolicy.NEW,
        allow_rollup_hdrs=True,
        allow_msg_ttl=True,
        deny_delete=False,
    )
