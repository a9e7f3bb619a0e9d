"""Microsoft's clouds, their resources, and how a scope names one of them.

Sources: MicrosoftDocs/entra-docs (scopes-oidc, authentication-national-cloud) and microsoftgraph/microsoft-graph-docs
(deployments). The words on the consent page are ours.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

VIRTUAL: Final = ("openid", "profile", "email", "offline_access")
"""They are "hosted on Microsoft Graph": bare or qualified, they are the same."""

DEFAULT: Final = ".default"
GRAPH: Final[Mapping[str, str]] = {
    "User.Read": "Sign you in and read your profile",
    "User.ReadBasic.All": "Read all users' basic profiles",
    "Mail.Read": "Read your mail",
    "Mail.ReadWrite": "Read and write access to your mail",
    "Mail.Send": "Send mail as you",
    "Mail.Read.Shared": "Read mail that you can access, and mail that others share with you",
    "Mail.ReadWrite.Shared": "Read and write mail that you can access, and mail that others share with you",
    "Calendars.Read": "Read your calendars",
    "Calendars.ReadWrite": "Have full access to your calendars",
    "Contacts.Read": "Read your contacts",
    "Files.Read.All": "Read all files that you have access to",
    "Files.ReadWrite.All": "Have full access to all files that you have access to",
    "IMAP.AccessAsUser.All": "Read and write access to your mail by IMAP",
    "POP.AccessAsUser.All": "Read and write access to your mail by POP",
    "SMTP.Send": "Send mail as you by SMTP",
}
OUTLOOK: Final[Mapping[str, str]] = {
    name: GRAPH[name] for name in ("IMAP.AccessAsUser.All", "POP.AccessAsUser.All", "SMTP.Send", "Mail.Read")
}
VIRTUAL_WORDS: Final[Mapping[str, str]] = {
    "openid": "Sign you in",
    "profile": "View your basic profile",
    "email": "View your email address",
    "offline_access": "Maintain access to data that you have given it access to",
}


class Cloud(Struct, frozen=True):
    """A cloud: registrations and tokens of one mean nothing in another. `aliases` are hosts that stand for another."""

    title: str
    instance: str
    graphs: tuple[str, ...]
    outlooks: tuple[str, ...]
    aliases: Mapping[str, str] = {}


CLOUDS: Final[Mapping[str, Cloud]] = {
    "microsoft": Cloud(
        "Microsoft",
        "microsoftonline.com",
        ("graph.microsoft.com",),
        ("outlook.office.com",),
        {"outlook.office365.com": "outlook.office.com"},
    ),
    "microsoft-us": Cloud(
        "Microsoft for US Government",
        "microsoftonline.us",
        ("graph.microsoft.us", "dod-graph.microsoft.us"),
        ("outlook.office365.us", "webmail.apps.mil"),
    ),
    "microsoft-cn": Cloud(
        "Microsoft in China (21Vianet)",
        "partner.microsoftonline.cn",
        ("microsoftgraph.chinacloudapi.cn",),
        ("partner.outlook.cn",),
    ),
}
"""By the stand-in's name. GCC, the first level of the US Government, is in the world-wide cloud."""


class Named(Struct, frozen=True):
    """A scope of a resource, in the resource's own spelling. An unknown name is as it was sent."""

    resource: str
    name: str
    known: bool

    @property
    def qualified(self) -> str:
        """With its resource: the one spelling that means the same everywhere."""
        return f"{self.resource}/{self.name}"


class Asked(Struct, frozen=True):
    """A scope parameter, taken apart."""

    virtual: tuple[str, ...]
    named: tuple[Named, ...]

    @property
    def resources(self) -> tuple[str, ...]:
        """The resources, each once, in the order in which they were named."""
        return tuple(dict.fromkeys(one.resource for one in self.named))

    @property
    def qualified(self) -> tuple[str, ...]:
        """The named scopes with their resources."""
        return tuple(one.qualified for one in self.named)

    @property
    def mixes_default(self) -> bool:
        """Whether .default stands beside named scopes, which is refused."""
        return len(self.named) > 1 and any(one.name == DEFAULT for one in self.named)


def take_apart(scopes: Iterable[str], cloud: Cloud, graph: str) -> Asked:
    """What a scope parameter asks for. A bare name belongs to this Graph. Case means nothing."""
    virtual: list[str] = []
    named: list[Named] = []
    for scope in scopes:
        resource, name = _split(scope, f"https://{graph}")
        host = resource.removeprefix("https://")
        resource = f"https://{cloud.aliases[host]}" if host in cloud.aliases else resource
        if name.lower() in VIRTUAL and host in cloud.graphs:
            virtual.append(name.lower())
        else:
            found = spelling(name, _permissions(resource, cloud))
            named.append(Named(resource, found or name, found is not None))
    return Asked(tuple(dict.fromkeys(virtual)), tuple(dict.fromkeys(named)))


def permissions(resource: str, cloud: Cloud) -> Mapping[str, str] | None:
    """The scopes that a resource has, with their words; None if the cloud has no such resource."""
    return _permissions(resource, cloud) or None


def spelling(name: str, known: Iterable[str]) -> str | None:
    """The resource's own spelling of a name; None if it has no such scope."""
    return next((one for one in (*known, DEFAULT) if one.lower() == name.lower()), None)


def words_of(qualified: str, cloud: Cloud) -> str:
    """What the consent page says that this scope allows."""
    if qualified in VIRTUAL_WORDS:
        return VIRTUAL_WORDS[qualified]
    resource, _, name = qualified.rpartition("/")
    return _permissions(resource, cloud).get(name, name)


def of_resource(scopes: Iterable[str], resource: str) -> tuple[str, ...]:
    """Those of the qualified scopes that belong to this resource."""
    return tuple(scope for scope in scopes if scope.rpartition("/")[0] == resource)


def everything(cloud: Cloud) -> frozenset[str]:
    """Every scope of every resource of a cloud, qualified."""
    hosts: Sequence[tuple[str, Mapping[str, str]]] = [
        *((host, GRAPH) for host in cloud.graphs),
        *((host, OUTLOOK) for host in cloud.outlooks),
    ]
    return frozenset(f"https://{host}/{name}" for host, table in hosts for name in table)


def _permissions(resource: str, cloud: Cloud) -> Mapping[str, str]:
    host = resource.removeprefix("https://")
    return GRAPH if host in cloud.graphs else OUTLOOK if host in cloud.outlooks else {}


def _split(scope: str, graph: str) -> tuple[str, str]:
    """The resource and the name; `https://host/Name`, `api://id/Name`, or a bare name of Graph's."""
    if "://" not in scope:
        return graph, scope
    resource, _, name = scope.rpartition("/")
    scheme, _, host = resource.partition("://")
    return f"{scheme.lower()}://{host.lower()}", name
