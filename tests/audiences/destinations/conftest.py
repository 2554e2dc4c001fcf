"""Servers start once per session, and only if a test asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.audiences.destinations.cases import CASES, REFUSES_NOBODY, WITHOUT_CONNECTION, Case
from tests.audiences.destinations.servers import (
    HttpServer,
    SftpServer,
    mailman_server,
    postgres_server,
    s3_server,
)


@pytest.fixture(scope="session")
def postgres_address() -> Iterator[tuple[str, int]]:
    with postgres_server() as address:
        yield address


@pytest.fixture(scope="session")
def http_server() -> Iterator[HttpServer]:
    server = HttpServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def s3_address() -> Iterator[tuple[str, int]]:
    with s3_server() as address:
        yield address


@pytest.fixture(scope="session")
def s3_client(s3_address: tuple[str, int]) -> Any:
    import boto3

    host, port = s3_address
    keys = {"aws_access_key_id": "here", "aws_secret_access_key": "there"}
    return boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1", **keys)


@pytest.fixture(scope="session")
def sftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    server = SftpServer(tmp_path_factory.mktemp("sftp"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def mailman_url() -> Iterator[str]:
    with mailman_server() as url:
        yield url


@pytest.fixture
def http(http_server: HttpServer) -> HttpServer:
    http_server.reset()
    return http_server


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param](request)


@pytest.fixture(params=[name for name in CASES if name not in WITHOUT_CONNECTION])
def connected_case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param](request)


@pytest.fixture(params=[name for name in CASES if name not in REFUSES_NOBODY])
def refusing_case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param](request)
