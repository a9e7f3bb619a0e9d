"""Manifests: what ships, what an operator may add, and how a bad one is told."""

from pathlib import Path

import pytest

from scopefold.provisioner import catalogue
from scopefold.provisioner.catalogue import BadManifest

JIRA = ("read:me", "read:jira-user", "read:jira-work", "write:jira-work", "offline_access")
DESK = ("read:servicedesk-request", "write:servicedesk-request", "manage:servicedesk-customer")
OPS = tuple(
    f"{verb}:{area}:jira-service-management"
    for area in ("ops-alert", "ops-config")
    for verb in ("read", "write", "delete")
)
GOOD = """\
connector: acme.wiki
version: "1.0.0"
title: Wiki
description: Reads the wiki.
profiles: [atlassian]
auth:
  idp_passthrough:
    upstream_scopes: [read:me]
"""


@pytest.mark.parametrize(
    ("connector", "profile", "scopes"),
    [
        ("identos.jira-user", "atlassian", JIRA),
        ("identos.jira-service-management", "atlassian", (*JIRA, *DESK)),
        (
            "identos.confluence-user",
            "atlassian",
            ("read:me", "read:confluence-user", "read:confluence-space.summary", "read:confluence-content.all",
             "write:confluence-content", "offline_access"),
        ),
        (
            "identos.bitbucket-user",
            "bitbucket",
            ("account", "repository", "repository:write", "pullrequest", "pullrequest:write", "issue"),
        ),
        ("identos.opsgenie-user", "atlassian", ("read:me", *OPS, "offline_access")),
    ],
)  # fmt: skip
def test_a_shipped_connector_needs_these_scopes_in_this_order(
    connector: str, profile: str, scopes: tuple[str, ...]
) -> None:
    manifest = catalogue.load(None)[connector]
    assert manifest.auth.idp_passthrough is not None
    assert ((profile,), scopes) == (manifest.profiles, manifest.auth.idp_passthrough.upstream_scopes)


def test_an_operators_manifest_joins_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "wiki.yaml").write_text(GOOD)
    assert {"acme.wiki"} == catalogue.load(tmp_path).keys() - catalogue.load(None).keys()


def test_an_operators_manifest_replaces_the_shipped_one_of_its_id(tmp_path: Path) -> None:
    (tmp_path / "jira.yml").write_text(GOOD.replace("acme.wiki", "identos.jira-user"))
    assert catalogue.load(tmp_path)["identos.jira-user"].title == "Wiki"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('version: "1.0.0"', "version: 1.0", "version: Expected `str`, got `float`"),
        ("title: Wiki\n", "", "wiki.yaml: Object missing required field `title`"),
        ("[atlassian]", "[atlassian, nowhere]", "profiles[1]: there is no provider profile 'nowhere'; known: "),
        ("profiles:", "colour: red\nprofiles:", "wiki.yaml: Object contains unknown field `colour`"),
        ("acme.wiki", "Acme Wiki", "connector: Expected `str` matching regex"),
        ("[read:me]", "[read:me, 'two words']", "auth.idp_passthrough.upstream_scopes[1]: Expected `str` matching"),
        ("[read:me]", "[read:me, read:me]", "auth.idp_passthrough.upstream_scopes: listed twice: read:me"),
        (
            "[read:me]",
            "[repository]",
            "upstream_scopes: repository is no scope of Atlassian, but one of Bitbucket Cloud",
        ),
        ("[read:me]", "[read:opsgenie]", "upstream_scopes: read:opsgenie: Opsgenie has no such scopes"),
        ("[read:me]", "[openid]", "auth.idp_passthrough.upstream_scopes: Atlassian refuses openid; take them out"),
        ("[read:me]", "[]", "auth.idp_passthrough.upstream_scopes: Expected `array` of length >= 1"),
        ("idp_passthrough", "service_account", "auth: Object contains unknown field `service_account`"),
        ("connector: acme.wiki", "connector: [", "wiki.yaml: is not YAML: "),
        ("Reads the wiki.", "\x00", "wiki.yaml: is not YAML: "),
        ("Reads the wiki.", "x" * 70_000, "wiki.yaml: is longer than 65536 bytes"),
    ],
)
def test_a_bad_manifest_is_told_in_one_line_with_its_file_and_field(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    assert old in GOOD
    (tmp_path / "wiki.yaml").write_text(GOOD.replace(old, new))
    with pytest.raises(BadManifest) as caught:
        catalogue.load(tmp_path)
    assert str(tmp_path / "wiki.yaml") in str(caught.value)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_manifests_of_one_connector_in_a_directory_are_refused(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(GOOD)
    with pytest.raises(BadManifest, match=r"b\.yaml: connector: acme\.wiki has two manifests here"):
        catalogue.load(tmp_path)


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadManifest, match="cannot be read: No such file or directory"):
        catalogue.load(tmp_path / "nowhere")
