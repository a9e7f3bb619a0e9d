"""What scopes mean at each provider: grammar, profiles, union, coverage, and what clashes with what.

Pure: sets and values in, sets and values out. Refuses to know who holds a grant, which connector needs it, or
where either is stored. What is special about a provider is data in `profiles/`, not code.

The way of a scope through this package, a file a step: `grammar` reads what a provider sent, `canonical` gives every
scope the one name that all its spellings share, `classify` says what kind of thing it is, `partition` which token
carries it, `coverage` whether a grant suffices, `union` what a request asks for and how it is written, `update` what
a new answer does to a grant, `lint` what is wrong with what connectors ask for.
"""
