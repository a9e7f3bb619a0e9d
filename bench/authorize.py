"""How many browsers the authorization endpoint sends to the IdP in a second, beside other brokers on the same load.

    just bench authorize [--peers oidc-provider,satosa,better-auth] [--seconds 6] [--rounds 3] [--json]

32 connections, each a browser that was never here, with a right request (PKCE where the system knows it). Each system
has one core with its store, the driver the other. bench/README.md says what is not like for like.
"""

from typing import Final

from bench.driver import redirects
from bench.rounds import Load, run

CONNECTIONS: Final = 32

if __name__ == "__main__":
    run(
        __doc__,
        [
            Load(
                "authorize", "redirects_per_s", lambda system, idp: [redirects(system, idp) for _ in range(CONNECTIONS)]
            )
        ],
    )
