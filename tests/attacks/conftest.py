"""The worlds of the tests of auth."""

from tests.auth.conftest import directory, guarded, jira, strict, welcoming, with_path, world

__all__ = ["directory", "guarded", "jira", "strict", "welcoming", "with_path", "world"]
