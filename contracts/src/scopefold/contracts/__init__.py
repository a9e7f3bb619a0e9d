"""The published language of Scopefold: every event and command, declared once.

Owns the shape of what travels on the bus and the rules that make a message acceptable. Refuses to know how
messages are stored, who folds them, or what time it is: nothing here does input or output.
"""
