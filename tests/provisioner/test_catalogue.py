"""Manifests: what ships, what an operator may add, and how a bad one is told."""

import re
from pathlib import Path

import pytest

from scopefold.provisioner import catalogue
from scopefold.provisioner.catalogue import BadManifest

ROOT = Path(__file__).parents[2]
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


def test_the_examples_of_the_documentation_are_good_manifests() -> None:
    found = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/connectors.md").read_text(encoding="utf-8"), re.DOTALL)
    assert ["acme.wiki", "acme.people", "acme.calendar"] == [
        catalogue.parse("connectors.md", text.encode()).connector for text in found
    ]


def test_an_operators_manifest_joins_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "wiki.yaml").write_text(GOOD)
    assert {"acme.wiki"} == catalogue.load(tmp_path).keys() - catalogue.load(None).keys()


def test_an_operators_manifest_replaces_the_shipped_one_of_its_id(tmp_path: Path) -> None:
    (tmp_path / "jira.yml").write_text(GOOD.replace("acme.wiki", "identos.jira-user"))
    assert catalogue.load(tmp_path)["identos.jira-user"].title == "Wiki"


WHERE = "auth.idp_passthrough.upstream_scopes"


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
        ("[atlassian]", "[]", "profiles: Expected `array` of length >= 1"),
        ("[atlassian]", "atlassian", "profiles: Expected `array`, got `str`"),
        ("[atlassian]", "[atlassian, atlassian]", "profiles: listed twice: atlassian"),
        (
            "[atlassian]",
            "[atlassian, bitbucket]",
            f"{WHERE}: read:me is no scope of Bitbucket Cloud, but one of Atlassian",
        ),
        ("[read:me]", "read:me", f"{WHERE}: Expected `object | array`, got `str`"),
        ("[read:me]", "{all_of: [read:me]}", f"{WHERE}: Object contains unknown field `all_of`"),
        ("[read:me]", "{any_of: [[read:me]]}", f"{WHERE}.any_of: Expected `array` of length >= 2"),
        ("[read:me]", "{any_of: [[read:me], []]}", f"{WHERE}.any_of[1]: Expected `array` of length >= 1"),
        ("[read:me]", "{any_of: [[read:me], [a b]]}", f"{WHERE}.any_of[1][0]: Expected `str` matching"),
        ("[read:me]", "{any_of: [[read:me], [openid]]}", f"{WHERE}.any_of[1]: Atlassian refuses openid; take them out"),
        ("[read:me]", "{any_of: [[read:me], [issue]]}", f"{WHERE}.any_of[1]: issue is no scope of Atlassian"),
        ("[read:me]", "{any_of: [[issue], [read:me]]}", f"{WHERE}.any_of[0]: issue is no scope of Atlassian"),
        (
            "[read:me]",
            "{any_of: [[read:me, offline_access], [read:account]]}",
            f"{WHERE}.any_of[1]: lacks offline_access, which any_of[0] has and no other scope stands in for; add it",
        ),
        (
            "[read:me]",
            "{any_of: [[read:me], [read:account], [read:jira-work, read:me]]}",
            f"{WHERE}.any_of[2]: needs all that any_of[0] needs, so it never makes a difference; take it out",
        ),
        (
            "[atlassian]\nauth:\n  idp_passthrough:\n    upstream_scopes: [read:me]",
            "[microsoft]\nauth:\n  idp_passthrough:\n    upstream_scopes: {any_of: [[Mail.Read], [.default]]}",
            f"{WHERE}.any_of[1]: .default is met by any grant, so no list beside it would matter; name the scopes",
        ),
        (
            "[atlassian]\nauth:\n  idp_passthrough:\n    upstream_scopes: [read:me]",
            "[microsoft]\nauth:\n  idp_passthrough:\n    upstream_scopes: [Mail.Read, https://graph.microsoft.com/mail.read]",
            f"{WHERE}: listed twice: Mail.Read, https://graph.microsoft.com/mail.read",
        ),
        (
            "[atlassian]\nauth:\n  idp_passthrough:\n    upstream_scopes: [read:me]",
            "[microsoft, microsoft-dod]\nauth:\n  idp_passthrough:\n"
            "    upstream_scopes: [https://outlook.office.com/SMTP.Send]",
            f"{WHERE}: https://outlook.office.com/SMTP.Send is no scope of Microsoft (US Government, DoD)",
        ),
        ("[read:me]", "[]", "auth.idp_passthrough.upstream_scopes: Expected `array` of length >= 1"),
        ("idp_passthrough", "service_account", "auth: Object contains unknown field `service_account`"),
        ("title: Wiki", "title: Wiki\ntitle: The wiki", "wiki.yaml: line 4: title stands twice; remove one"),
        (
            "[read:me]",
            "[read:me]\n    upstream_scopes: [read:account]",
            "wiki.yaml: line 9: upstream_scopes stands twice; remove one",
        ),
        (
            "description: Reads the wiki.",
            "description: Reads the wiki.\nlinks:\n- {title: Ours, url: https://a.example, title: Theirs}",
            "wiki.yaml: line 6: title stands twice; remove one",
        ),
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
