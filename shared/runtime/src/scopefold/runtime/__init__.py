"""What every Scopefold process needs to run: settings, structured logs, health, and a thin layer over HTTP.

Refuses to know any event, any projection and any flow.
"""
