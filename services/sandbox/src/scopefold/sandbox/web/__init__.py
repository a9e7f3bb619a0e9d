"""The stand-ins and the playground over HTTP: parse, call core, render."""
