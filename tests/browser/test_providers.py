"""Three providers, set up as an operator types it and met as people meet them: through pages, in a real browser."""

import asyncio
import contextlib
import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from scopefold.cli.answers import Idp, Worklist
from scopefold.cli.connected import connected
from scopefold.cli.log import EventLine
from scopefold.cli.main import run
from scopefold.cli.reconsent import connectors_of
from scopefold.cli.story_world import expect_soon
from scopefold.contracts.events import AuthorizationFailed, TokenStored
from tests.browser.looks import complaints
from tests.cli.command import Up
from tests.support.logins import long_ago

pytestmark = pytest.mark.browser

GOOGLE = "https://www.googleapis.com/auth/"
EVENTS = f"{GOOGLE}calendar.events"
IMAP = "https://outlook.office.com/IMAP.AccessAsUser.All"
PLANNER = f"""
connector: acme.planner
version: "1.0.0"
title: Planner
description: Puts tasks into the signed-in user's calendar.
profiles: [google]
auth:
  idp_passthrough:
    upstream_scopes: ["{EVENTS}", "{GOOGLE}tasks"]
"""
EVERYTHING = """
connector: acme.everything
version: "1.0.0"
title: Everything
description: Does whatever the app was registered for.
profiles: [microsoft]
auth:
  idp_passthrough:
    upstream_scopes: ["https://graph.microsoft.com/.default", offline_access]
"""


class Operator:
    """Who runs this Scopefold, at a terminal."""

    def __init__(self, up: Up) -> None:
        self.where = up.ready()
        self._data = str(up.data)

    def told(self, *arguments: str) -> tuple[int, str]:
        """The exit code of a command, and everything that it printed."""
        printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            code = run((*arguments, "--data", self._data))
        printed.seek(0)
        return code, printed.read()

    def types(self, *arguments: str) -> str:
        """What a command prints that does as it is told."""
        code, printed = self.told(*arguments)
        assert code == 0, printed
        return printed

    def provisions(self, connector: str, idp: str) -> None:
        """Provision a connector, and wait until logins ask for what it needs."""
        self.types("connector", "provision", connector, "--idp", idp)

        def is_there() -> bool:
            found = msgspec.json.decode(self.types("idp", "show", idp, "--json"), type=Idp)
            return connector in [one.connector for one in found.connectors]

        expect_soon(f"{connector} at {idp}", True, is_there)

    def worklist(self, idp: str) -> list[tuple[str, str]]:
        """What is missing at an IdP, and because of whom; a user after the other."""
        found = msgspec.json.decode(self.types("reconsent", "list", "--idp", idp, "--json"), type=Worklist)
        return [(" ".join(lack.scope for lack in row.missing), connectors_of(row)) for row in found.items]

    def reads(self, kind: str, idp: str) -> list[EventLine]:
        """The log's events of a kind at an IdP. In a thread of its own: Playwright has an event loop in this one."""
        with ThreadPoolExecutor(1) as thread:
            said = thread.submit(self.types, "log", "read", "--type", kind, "--idp", idp, "--json").result(60)
        return [msgspec.json.decode(line, type=EventLine) for line in said.splitlines()]


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """A Scopefold with the sandbox, two connectors of the operator's own, and three IdPs."""
    own, data = tmp_path_factory.mktemp("manifests"), tmp_path_factory.mktemp("providers") / "data"
    (own / "acme.planner.yaml").write_text(PLANNER)
    (own / "acme.everything.yaml").write_text(EVERYTHING)
    up = Up(data, "--sandbox", "--bare", "--manifests", str(own))
    try:
        found = Operator(up)
        for name in ("atlassian", "google", "microsoft"):
            register(found, name, own / "secret")
        yield found
    finally:
        up.stop()


def register(operator: Operator, name: str, secret: Path) -> None:
    """Register a stand-in with what one has of the real provider: the kind, the client id and the secret."""
    secret.write_text(f"sandbox-{name}-secret\n")
    client = ("--client-id", f"sandbox-{name}", "--client-secret-file", str(secret))
    operator.types("idp", "register", name, "--profile", name, *client, "--sandbox")


def sign_in(operator: Operator, page: Page, at: str | None = None) -> None:
    """From the app to where it leads; `at` is whom to choose where one must choose."""
    page.goto(f"{operator.where.sandbox}/playground")
    page.locator("#sign-in").click()
    if at is not None:
        page.get_by_role("link", name=at).click()


def consent(page: Page, person: str, *, without: str | None = None) -> None:
    """Log in at the provider, and accept what it asks but for one scope."""
    page.locator(f"#user-{person}").click()
    if without is not None:
        page.get_by_label(without).uncheck()
    page.locator("#accept").click()


def is_in(operator: Operator, page: Page) -> None:
    """The app knows who it is."""
    expect(page.get_by_role("heading", level=1)).to_contain_text("Signed in as")
    assert page.url.startswith(f"{operator.where.sandbox}/playground/callback")


def explained(page: Page) -> list[tuple[str, list[str]]]:
    """What the page before a step-up says: each connector's title, with the scopes that it needs."""
    expect(page.get_by_role("heading", level=1)).to_have_text("More access is needed")
    rows = page.locator(".lacks > li").all()
    return [
        (
            row.locator("strong").evaluate("strong => strong.firstChild.data.trim()"),
            row.locator("code").all_inner_texts(),
        )
        for row in rows
    ]


def asked_before(page: Page) -> list[str]:
    """The scopes of which that page says that they were asked for before."""
    return page.locator(".note code").all_inner_texts()


def test_google_whoever_unticks_a_box_is_told_once_more_and_then_left_alone(
    operator: Operator, alice: BrowserContext
) -> None:
    page = alice.new_page()
    operator.provisions("identos.google-calendar-user", "google")
    operator.provisions("acme.planner", "google")
    code, said = operator.told("connector", "provision", "identos.jira-user", "--idp", "google")
    assert 1 == code
    assert "identos.jira-user needs an IdP of profile atlassian; google is of profile google" in said

    sign_in(operator, page, at="Google")
    page.locator("#user-alice").click()
    assert [] == complaints(page)
    page.get_by_label(EVENTS).uncheck()
    page.locator("#accept").click()
    is_in(operator, page)
    both = "acme.planner, identos.google-calendar-user"
    expect_soon("the worklist", [(EVENTS, both)], lambda: operator.worklist("google"))

    operator.provisions("identos.gmail-user", "google")
    modify = f"{GOOGLE}gmail.modify"
    more = [(f"{EVENTS} {modify}", f"{both}, identos.gmail-user")]
    expect_soon("the worklist", more, lambda: operator.worklist("google"))
    sign_in(operator, page)
    needs = explained(page)
    assert [("Planner", [EVENTS]), ("Google Calendar", [EVENTS]), ("Gmail", [modify])] == needs
    assert [] == complaints(page)
    assert [EVENTS] == asked_before(page), "she was asked for it once; for Gmail's not yet"
    expect(page.locator(".note")).to_contain_text(re.compile(r" on \d+ \w+ \d{4}\s+and did not allow it\. "))
    page.locator("#continue").click()
    consent(page, "alice", without=EVENTS)
    is_in(operator, page)
    expect_soon("the worklist", [(EVENTS, both)], lambda: operator.worklist("google"))

    sign_in(operator, page)
    is_in(operator, page)
    assert f"Asked for in vain: {EVENTS}, of 1 user;" in operator.types("idp", "show", "google")

    operator.types("idp", "restore", "google")
    sign_in(operator, page)
    assert [("Planner", [EVENTS]), ("Google Calendar", [EVENTS])] == explained(page)
    assert [EVENTS] == asked_before(page)
    page.locator("#continue").click()
    consent(page, "alice")
    is_in(operator, page)
    expect_soon("the worklist", [], lambda: operator.worklist("google"))
    assert "in vain" not in operator.types("idp", "show", "google")
    sign_in(operator, page)
    is_in(operator, page)


def test_microsoft_one_login_serves_mail_by_imap_and_by_graph(operator: Operator, bob: BrowserContext) -> None:
    page = bob.new_page()
    operator.provisions("identos.outlook-imap-user", "microsoft")
    operator.provisions("identos.outlook-graph-user", "microsoft")
    code, said = operator.told("connector", "provision", "acme.everything", "--idp", "microsoft")
    assert 1 == code
    for words in ("identos.outlook-imap-user and acme.everything ask for", "AADSTS70011"):
        assert words in said

    sign_in(operator, page, at="Microsoft")
    consent(page, "bob")
    is_in(operator, page)
    (stored,) = operator.reads("token-stored", "microsoft")
    assert isinstance(stored.event, TokenStored)
    assert {IMAP, "Mail.ReadWrite"} <= set(stored.event.granted or ())
    expect_soon("the worklist", [], lambda: operator.worklist("microsoft"))

    operator.provisions("identos.outlook-graph-shared-user", "microsoft")
    lacks = [("Mail.ReadWrite.Shared", "identos.outlook-graph-shared-user")]
    expect_soon("the worklist", lacks, lambda: operator.worklist("microsoft"))
    sign_in(operator, page)
    ((title, scopes),) = explained(page)
    assert ("Outlook mail and shared mailboxes by Microsoft Graph", ["Mail.ReadWrite.Shared"]) == (title, scopes)
    assert ([], []) == (asked_before(page), complaints(page))
    page.locator("#continue").click()
    consent(page, "bob")
    is_in(operator, page)
    expect_soon("the worklist", [], lambda: operator.worklist("microsoft"))


def test_a_login_that_fails_at_the_provider_says_who_can_mend_it(operator: Operator, alice: BrowserContext) -> None:
    page = alice.new_page()
    switch(operator, "microsoft", secret_expired=True)
    sign_in(operator, page, at="Microsoft")
    consent(page, "carol")
    expect(page.get_by_role("heading", level=1)).to_have_text("You could not be logged in at Microsoft")
    expect(page.get_by_role("heading", level=2)).to_have_text("This needs whoever runs Scopefold")
    assert [] == complaints(page)
    switch(operator, "microsoft", secret_expired=False)
    page.locator("#again").click()
    page.locator("#user-alice").click()
    page.locator("#cancel").click()
    page.wait_for_url(f"{operator.where.sandbox}/playground/callback**")
    assert ["access_denied"] == parse_qs(urlsplit(page.url).query)["error"]
    assert [] == complaints(page)


def switch(operator: Operator, name: str, **switches: object) -> None:
    """Set how a stand-in behaves."""
    answer = httpx.put(f"{operator.where.sandbox}/switches", json={name: {"switches": switches}}, timeout=20)
    assert 200 == answer.status_code, answer.text


def test_atlassian_a_scope_that_the_app_lacks_ends_there_and_is_known_when_one_tries_again(
    operator: Operator, bob: BrowserContext
) -> None:
    page, wiki, lacked = bob.new_page(), "identos.confluence-user", "write:servicedesk-request"
    operator.provisions("identos.jira-user", "atlassian")
    operator.provisions(wiki, "atlassian")
    code, said = operator.told("connector", "provision", "identos.gmail-user", "--idp", "atlassian")
    assert 1 == code
    assert "identos.gmail-user needs an IdP of profile google; atlassian is of profile atlassian" in said
    sign_in(operator, page, at="Atlassian")
    page.locator("#user-bob").click()
    assert [] == complaints(page)
    page.locator("#accept").click()
    is_in(operator, page)
    expect_soon("the worklist", [], lambda: operator.worklist("atlassian"))

    in_console(operator, page, lacked, listed=False)
    operator.provisions("identos.jira-service-management", "atlassian")
    sign_in(operator, page)
    ((title, scopes),) = explained(page)
    assert ("Jira Service Management", True) == (title.partition(" identos")[0], lacked in scopes)
    page.locator("#continue").click()
    page.locator("#user-bob").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Something went wrong")
    expect(page.locator("main")).to_contain_text(lacked)
    assert [] == complaints(page)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, a_minute_ago(operator, "atlassian")).result(60)
    sign_in(operator, page)
    (failed,) = operator.reads("authorization-failed", "atlassian")
    assert isinstance(failed.event, AuthorizationFailed)
    assert "no_return" == failed.event.error
    failures = "1 have failed, the last with no_return"
    expect_soon("the failure", True, lambda: failures in operator.types("idp", "show", "atlassian"))
    ((missing, because),) = operator.worklist("atlassian")
    assert ("identos.jira-service-management", True) == (because, lacked in missing)

    in_console(operator, page, lacked, listed=True)
    sign_in(operator, page)
    page.locator("#continue").click()
    consent(page, "bob")
    is_in(operator, page)
    expect_soon("the worklist", [], lambda: operator.worklist("atlassian"))


@pytest.mark.parametrize(
    "path",
    [
        "{auth}/",
        "{choose}",
        "{auth}/authorize?client_id=nobody",
        "{sandbox}/",
        "{sandbox}/playground",
        "{sandbox}/switches?open=google",
    ],
)
def test_the_pages_on_the_way_can_be_read_by_everybody(operator: Operator, alice: BrowserContext, path: str) -> None:
    page, sandbox = alice.new_page(), operator.where.sandbox
    page.goto(path.format(auth=operator.where.auth, sandbox=sandbox, choose=f"{sandbox}/playground/login"))
    assert [] == complaints(page)


async def a_minute_ago(operator: Operator, idp: str) -> None:
    async with connected(operator.where.bus("auth")) as log:
        await long_ago(log, idp)


def in_console(operator: Operator, page: Page, scope: str, *, listed: bool) -> None:
    """Give the app of Atlassian a scope in its console, or take it away, on the sandbox's page."""
    page.goto(f"{operator.where.sandbox}/switches?open=atlassian")
    section = page.locator("#atlassian")
    field = section.get_by_label("Permitted scopes")
    others = [line for line in field.input_value().split() if line != scope]
    field.fill("\n".join([*others, scope] if listed else others))
    section.get_by_role("button", name=re.compile("save|set", re.IGNORECASE)).click()
    expect(page.locator(".saved")).to_be_visible()
