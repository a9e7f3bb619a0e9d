"""How many brokered logins a second, from authorize to the token answer, and how many tokens for clients' own sake.

    just bench login [--peers oidc-provider,satosa,better-auth] [--seconds 6] [--rounds 3] [--json]

16 browsers log in one person after the other, of 200 who come again and again: authorize, the IdP, the callback, the
code and its verifier for an ID token (RS256) and an access token (ES256 where the system can). Then 16 clients ask for
tokens of their own (ES256). Each system has one core with its store, the driver and the IdP the other.

Not like for like: of Scopefold every login is on disk before it is answered (two events, the sealed token, the session,
the spent code), oidc-provider's Redis syncs once a second, and SATOSA keeps nothing; Scopefold asks the IdP twice,
oidc-provider once, and checks a signature instead. bench/README.md says more.
"""

from typing import Final

from bench.driver import logins, tokens
from bench.rounds import Load, run

AT_ONCE: Final = 16
ALGORITHM: Final = "ES256"

if __name__ == "__main__":
    run(
        __doc__,
        [
            Load("login", "logins_per_s", lambda system, idp: [logins(system) for _ in range(AT_ONCE)]),
            Load(
                "token",
                "tokens_per_s",
                lambda system, idp: [tokens(system, ALGORITHM) for _ in range(AT_ONCE)] if system.service else [],
                {"alg": ALGORITHM},
            ),
        ],
    )
