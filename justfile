# The daily acts of the project. `./dev RECIPE` runs one; `./dev` lists them.
set positional-arguments

_list:
    @just --list --unsorted
