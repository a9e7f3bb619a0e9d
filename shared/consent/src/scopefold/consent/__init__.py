"""The folds over the consent log: what each IdP must be asked for, and who must consent again.

Pure: a state and a recorded event in, a state out. One file per projection, named after its question. Refuses to
know where the log is read from or where a projection is kept.
"""
