"""The tests. What is done here holds for pytest and for campaigns that run without it."""

import ssl
from functools import cache

# Every client of httpx reads all certificates that the machine trusts, which takes it up to 60 ms of CPU, and the tests
# make thousands of clients. Whoever asks for the same once more gets the same context.
ssl.create_default_context = cache(ssl.create_default_context)  # type: ignore[assignment]
