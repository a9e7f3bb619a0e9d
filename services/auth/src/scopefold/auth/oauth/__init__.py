"""The authorization server's grammar, by Authlib, without a socket and without a store.

Authlib's server is synchronous and asks for what it needs while it works. So everything is loaded first, a server
is made for this one request, and what it would have stored is handed back, for the caller to store.
"""
