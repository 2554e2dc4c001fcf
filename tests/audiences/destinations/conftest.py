"""Servers start once per session, and only if a test asks for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.audiences.destinations.cases import CASES, Case
from tests.audiences.destinations.servers import HttpServer, postgres_server


@pytest.fixture(scope="session")
def postgres_address() -> Iterator[tuple[str, int]]:
    with postgres_server() as address:
        yield address


@pytest.fixture(scope="session")
def http_server() -> Iterator[HttpServer]:
    server = HttpServer()
    yield server
    server.close()


@pytest.fixture
def http(http_server: HttpServer) -> HttpServer:
    http_server.reset()
    return http_server


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param](request)
