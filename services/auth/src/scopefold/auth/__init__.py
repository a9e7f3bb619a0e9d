"""The auth service: brokers logins to identity providers, keeps their tokens, and says who must consent again.

Owns IdPs, users, tokens and sessions. Refuses to know what a connector is beyond what the log says it needs.
"""
