"""What scopes mean at each provider: grammar, profiles, union and coverage.

Pure: sets and values in, sets and values out. Refuses to know who holds a grant, which connector needs it, or
where either is stored. What is special about a provider is data in `profiles/`, not code.
"""
