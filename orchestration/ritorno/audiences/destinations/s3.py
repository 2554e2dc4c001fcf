"""A bucket of S3 or a service that speaks it: see filesets for the layout.

The pointer is replaced by a conditional put (`If-None-Match: *` for the first, `If-Match` of the version read for any
other), so two writers never both think they won. Needs a service that honours both: AWS, MinIO, R2, Ceph do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self, TypeVar

from ritorno.audiences.destinations.base import NotSent, SendError, Unanswered
from ritorno.audiences.destinations.filesets import FileSet, Layout, Pointer, Store
from ritorno.audiences.destinations.settings import Settings
from ritorno.audiences.destinations.values import hush

Found = TypeVar("Found")

ABSENT = {"NoSuchKey", "404", "NotFound"}
LOST_RACE = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


class S3(FileSet):
    """CSV, JSON Lines or Parquet in a bucket."""

    type: ClassVar[str] = "s3"

    @classmethod
    def from_settings(cls, settings: Mapping[str, object], environment: Mapping[str, str]) -> Self:
        """Settings: bucket, prefix, region, endpoint_url, access_key_env, secret_key_env, those of files, max_batch.

        Without the two keys boto3 looks where it always does: a role, a profile, its own variables.
        """
        read = Settings(cls.type, settings, environment)
        bucket = read.name("bucket")
        prefix = (read.optional("prefix") or "").strip("/")
        options: dict[str, Any] = {"region_name": read.optional("region")}
        if settings.get("endpoint_url") is not None:
            options["endpoint_url"] = read.url("endpoint_url")
        access = read.optional_secret("access_key_env")
        secret = read.optional_secret("secret_key_env")
        if (access is None) != (secret is None):
            missing = "access_key_env" if access is None else "secret_key_env"
            raise read.wrong(missing, "is missing: give both keys or neither")
        options |= {"aws_access_key_id": access, "aws_secret_access_key": secret}
        layout = Layout.from_settings(read)
        max_batch = read.integer("max_batch", 100_000, most=1_000_000)
        timeout = read.seconds("timeout_seconds", 60.0)
        read.done()
        return cls(S3Store(bucket, prefix, options, timeout), layout, max_batch)


class S3Store(Store):
    """Objects below a prefix."""

    def __init__(self, bucket: str, prefix: str, options: Mapping[str, Any], timeout: float) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._options = dict(options)
        self._timeout = timeout
        self._made: Any = None

    def read(self, name: str) -> bytes | None:
        """An object's content."""
        found = self._object(name)
        return found[0] if found else None

    def write(self, name: str, data: bytes) -> None:
        """S3 shows an object whole or not at all."""
        self._judged(f"write {name}", lambda: self._client.put_object(**self._key(name), Body=data))

    def pointer(self, name: str) -> Pointer | None:
        """The ETag is the token."""
        found = self._object(name)
        return Pointer(*found) if found else None

    def swap(self, name: str, data: bytes, expected: Pointer | None) -> None:
        """A conditional put. Ours although the service says it lost: an earlier try of it arrived."""
        condition = {"IfMatch": expected.token} if expected else {"IfNoneMatch": "*"}
        put = self._client.put_object
        try:
            self._judged(f"replace {name}", lambda: put(**self._key(name), Body=data, **condition), unknown=True)
        except _LostRace:
            shown = self.pointer(name)
            if shown is None or shown.data != data:
                raise NotSent(
                    f"{name} was changed by another writer: let one run at a time write an audience"
                ) from None

    def names(self, folder: str) -> list[str]:
        """Objects below a folder."""

        def listed() -> list[str]:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=f"{self._prefix}{folder}/"
            )
            return [entry["Key"].removeprefix(self._prefix) for page in pages for entry in page.get("Contents", [])]

        return self._judged(f"list {folder}", listed)

    def delete(self, names: Iterable[str]) -> None:
        """With all versions: in a versioned bucket a deleted object is only hidden."""
        for name in names:
            key = self._prefix + name

            def versions(key: str = key) -> list[dict[str, str]]:
                pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=key)
                return [
                    {"Key": entry["Key"], "VersionId": entry["VersionId"]}
                    for page in pages
                    for entry in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                    if entry["Key"] == key
                ]

            for entry in self._judged(f"list versions of {name}", versions):
                self._judged(f"delete {name}", lambda e=entry: self._client.delete_object(Bucket=self._bucket, **e))  # type: ignore[misc]

    def close(self) -> None:
        """Close the connections."""
        if self._made is not None:
            self._made.close()
            self._made = None

    @property
    def _client(self) -> Any:  # noqa: ANN401  boto3 comes without types
        if self._made is None:
            import boto3
            from botocore.config import Config

            hush("botocore", "boto3", "urllib3", "s3transfer")
            # One try: a conditional put repeated behind our back would refuse its own success. The engine repeats.
            config = Config(
                retries={"total_max_attempts": 1},
                connect_timeout=min(10.0, self._timeout),
                read_timeout=self._timeout,
                s3={"addressing_style": "path"} if self._options.get("endpoint_url") else {},
            )
            self._made = boto3.session.Session().client("s3", config=config, **self._options)
        return self._made

    def _key(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + name}

    def _object(self, name: str) -> tuple[bytes, str] | None:
        def got() -> tuple[bytes, str] | None:
            answer = self._client.get_object(**self._key(name))
            return answer["Body"].read(), answer["ETag"]

        try:
            return self._judged(f"read {name}", got)
        except _Absent:
            return None

    def _judged(self, what: str, work: Callable[[], Found], unknown: bool = False) -> Found:
        """Run a call; its failure as the truth about the batch: `unknown` says that it may have been applied."""
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            ConnectTimeoutError,
            EndpointConnectionError,
            HTTPClientError,
            NoCredentialsError,
        )
        from botocore.exceptions import ConnectionError as BotoConnectionError

        try:
            return work()
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            if code in ABSENT:
                raise _Absent(f"can't {what}: there is none") from None
            if unknown and code in LOST_RACE:
                raise _LostRace(f"can't {what}: it was changed") from None
            failure = Unanswered if unknown and status >= 500 and status != 503 else NotSent
            raise failure(f"can't {what}: bucket {self._bucket} answered {code} ({status})") from None
        except (EndpointConnectionError, ConnectTimeoutError, NoCredentialsError) as error:
            raise NotSent(f"can't {what}: {type(error).__name__}") from None
        except (HTTPClientError, BotoConnectionError, OSError) as error:
            raise (Unanswered if unknown else NotSent)(f"can't {what}: {type(error).__name__}") from None
        except BotoCoreError as error:
            raise NotSent(f"can't {what}: {type(error).__name__}") from None


class _Absent(SendError):  # noqa: N818
    """There is no such object."""


class _LostRace(SendError):  # noqa: N818
    """The condition of a put didn't hold."""
