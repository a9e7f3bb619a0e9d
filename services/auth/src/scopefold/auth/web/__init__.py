"""Auth over HTTP: parse, load, call core, append, render."""
