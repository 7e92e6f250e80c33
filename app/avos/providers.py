"""The services that read AVOS and write to it."""

from __future__ import annotations

from app.avos.bodies import PropertyNames
from app.avos.client import AvosClient, Credentials
from app.avos.readback import ReadBack
from app.outgoing.service import RequestService
from app.outgoing.store import OutgoingStore
from app.platform.container import Container
from app.platform.http_client import HttpTransport


def property_names(container: Container) -> PropertyNames:
    settings = container.settings
    return PropertyNames(
        dmhe=settings.dmhe_property,
        destination=settings.destination_property,
        source_uri=settings.source_uri_property,
        source_channel=settings.source_channel_property,
    )


def avos(container: Container) -> AvosClient:
    """Without a URL every call says that none is configured."""
    settings, transport = container.settings, None
    if settings.avos_url is not None:
        transport = HttpTransport(
            settings.avos_url,
            pool_size=settings.avos_max_in_flight,
            ca_file=settings.avos_ca_file,
            proxy=settings.avos_proxy,
        )
    credentials = Credentials(settings.avos_token, settings.avos_auth_header, settings.avos_auth_scheme)
    return AvosClient(transport, credentials)


def read_back(container: Container) -> ReadBack:
    return ReadBack(
        container[OutgoingStore],
        container[RequestService],
        container[AvosClient],
        timeout_s=min(2.0, container.settings.avos_timeout_s),
    )
