"""Installs connectors: checks what an operator asks for and says it in the log as ConnectorProvisioned.

Owns the connector manifests and the rules of what may be provisioned where. Refuses to know users, tokens and
consent. It has no store of its own: its memory is the log, folded again at every start.
"""
