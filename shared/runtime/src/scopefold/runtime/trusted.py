"""Which certificate authorities are trusted when something is asked over https."""

import ssl
from functools import cache


@cache
def trusted() -> ssl.SSLContext:
    """The system's, read once in a process: reading them takes tens of milliseconds of CPU, and whoever makes an HTTP
    client without saying otherwise reads them anew.
    """
    return ssl.create_default_context()
