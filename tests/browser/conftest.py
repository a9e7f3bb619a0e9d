"""A running Scopefold with its sandbox, and a Chromium to visit it with."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from scopefold.cli.stack import Plan, Stack, running
from scopefold.cli.story_world import World
from tests.support.chromium import QUIET, find

PATIENCE_MS = 15_000


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An empty Scopefold: nothing is registered yet."""
    data = tmp_path_factory.mktemp("browser") / "data"
    plan = Plan(data=data, sandbox=True, auth_port=0, provisioner_port=0, sandbox_port=0, nats_port=0)
    with running(plan) as stack:
        assert isinstance(stack, Stack)
        yield World(stack.endpoints, stack.rebuild_auth, lambda _: None)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One Chromium. Its own sandbox is off: it visits only what these tests started, and may run as root."""
    path = find()
    assert path is not None, "no Chromium: run `just browser-ready`"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *QUIET])
        yield browser
        browser.close()


@pytest.fixture
def alice(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser of alice's own."""
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def bob(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser of bob's own."""
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()
