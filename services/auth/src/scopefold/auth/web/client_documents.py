"""Clients that are named by an address, at which a document describes them (OAuth Client ID Metadata Document)."""

from typing import Final
from urllib.parse import urlsplit

import msgspec

from scopefold.auth.core.egress import BadTarget
from scopefold.auth.oauth.client_metadata import BadMetadata, ClientMetadata, client_of
from scopefold.auth.store.records import Client
from scopefold.auth.web.egress import Egress, NotFetched
from scopefold.runtime.logs import logger

MAX_CLIENT_ID: Final = 255  # what the events of the log have room for
log = logger(__name__)


class ClientDocuments:
    """Reads clients from the documents that their ids name."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def get(self, client_id: str) -> Client | None:
        """The client that the document at this address describes, if there is one that may be used."""
        if not self._is_name(client_id):
            return None
        try:
            document = await self._egress.document(client_id)
            if document.get("client_id") != client_id:
                raise NotFetched("the document names another client_id than its own address")
            if {"client_secret", "client_secret_expires_at"} & document.keys():
                raise NotFetched("a document that everybody can read holds a client's secret")
            metadata = msgspec.convert({"token_endpoint_auth_method": "none", **document}, ClientMetadata)
            return client_of(metadata, client_id=client_id, origin="document", reachable=self._egress.reachable)
        except (NotFetched, BadMetadata, msgspec.ValidationError) as error:
            log.info("the document of a client cannot be used", client=client_id, reason=str(error))
            return None

    def _is_name(self, client_id: str) -> bool:
        """Is this an address that may name a client? It has a path, which stays as it is, and nothing hidden."""
        if len(client_id) > MAX_CLIENT_ID or "://" not in client_id:
            return False
        try:
            self._egress.check(client_id)
        except BadTarget:
            return False
        path = urlsplit(client_id).path
        return path not in ("", "/") and not {".", "..", "%2e", "%2e%2e"} & set(path.lower().split("/"))
