# The daily acts of the project. `./dev RECIPE` runs one, and sets up the environment first where it must.

set shell := ["sh", "-eu", "-c"]
set positional-arguments

# List the recipes
_list:
    @just --list --unsorted

# Start everything with the sandbox, stay up, print the addresses to open (Ctrl-C stops)
up *args:
    @scopefold up --sandbox "$@"

# Play the story against really started processes, step by step
demo *args:
    @scopefold demo "$@"

# Check and test everything, as it must be before anything lands
test: static browser-ready apache-ready nginx-ready (pytest "tests" "-n" "3" "--dist" "loadfile" "--no-loadscope-reorder")

# Check in a minute what needs nothing started: format, lint, types, layers, generated files, house rules
check: static
    pytest tests/contracts/test_documents.py tests/scopes/test_profiles.py tests/house

# Check without running: format, lint, types, layers
static:
    ruff format --check .
    ruff check .
    mypy
    lint-imports

# Run some tests: just pytest tests/ledger -k append
pytest *args:
    pytest "$@"

# Look for examples that break a property: other ones at each run (minutes). just explore tests/scopes
explore *args:
    pytest --hypothesis-profile explore -m "not browser and not faults" "$@"

# Mend what can be mended by itself: format, lint, generated files
fix:
    ruff format .
    ruff check --fix .
    python -m scopefold.contracts
    python -m scopefold.scopes

# Write the generated contract documents anew
contracts:
    python -m scopefold.contracts

# Write docs/providers.md and docs/diagnoses.md anew from the provider profiles
providers:
    python -m scopefold.scopes

# Find a Chromium for the browser tests, or install one
browser-ready:
    @python -m tests.support.chromium

# Find an Apache with mod_auth_openidc for its recipe's test, or install one; without one that test is skipped
apache-ready:
    @python -m tests.support.apache

# Find an nginx for its example's test, or install one; without one that test is skipped
nginx-ready:
    @python -m tests.support.nginx

# Kill every kind of process, again and again, and check that nothing was lost (minutes)
faults *args:
    python -m tests.faults "$@"

# Run the twins of the OpenID conformance modules and print each one's result   (--json prints one object a line)
conformance *args:
    @python -m tests.conformance "$@"

# Print the attacks that were thought of, the safe answer to each, and the tests that show it   (--json: one object a line)
attacks *args:
    @python -m tests.attacks "$@"

# Measure: just bench fold | rebuild | seal | scopes | authorize | login | exchange   (--json prints one object a line)
bench name *args:
    @python -m bench."$@"

# Pin every requirement anew, with hashes
pin:
    requirements/pin

# Run the checks before every commit
hooks:
    pre-commit install
