"""One HTTP call with an honest outcome: what the webhook, Mailman and every platform adapter send through.

What an answer means is decided here, once:

- refused connection, unknown host, 429, 425, 503 with `Retry-After`: nothing was applied (`NotSent`).
- 401, 403, 404, 405, 407, 410, a redirect: the settings are wrong, not the members (`NotSent`, naming the status; were
  it a `RefusedBatch`, one expired token would put a whole audience into the dead letters).
- other 4xx: the batch is refused for good (`RefusedBatch`).
- a lost connection, a time-out after the connection stood, any other 5xx (a gateway's 503 says nothing about what the
  server behind it did): nobody knows (`Unanswered`).

Redirects are never followed: they would carry addresses to a host that nobody declared.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from ritorno.audiences.destinations.base import NotSent, RefusedBatch, SendError, Unanswered
from ritorno.audiences.destinations.settings import is_this_machine
from ritorno.audiences.destinations.values import body, hush

MISCONFIGURED = {401, 403, 404, 405, 407, 410}
LATER = {425, 429}
LONGEST_WAIT = 86_400.0


class Http:
    """Calls below one base URL."""

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float = 30.0,
    ) -> None:
        hush("httpx", "httpcore")
        self.base_url = base_url
        # To this machine never through a proxy that the environment names: it would read along.
        trust = not is_this_machine(httpx.URL(base_url).host)
        self._client = httpx.Client(
            headers={"User-Agent": "ritorno", **(headers or {})},
            auth=auth,
            timeout=timeout,
            follow_redirects=False,
            trust_env=trust,
        )

    def call(
        self,
        method: str,
        path: str,
        payload: object = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        also: Collection[int] = (),
    ) -> httpx.Response:
        """The answer, of the 2xx kind or one of the statuses in `also`, which the caller reads itself.

        Raises:
            RefusedBatch, NotSent, Unanswered: see the module. No text holds a URL's path, a body or a header.
        """
        sent = {"Content-Type": "application/json"} if payload is not None else {}
        data = body(payload) if payload is not None else content
        try:
            answer = self._client.request(
                method, self.base_url + path, content=data, headers={**sent, **(headers or {})}, params=params
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            raise NotSent(f"no connection to {self.host} ({type(error).__name__})") from None
        except httpx.ProxyError:
            raise NotSent(f"the proxy gave no connection to {self.host}") from None
        except httpx.HTTPError as error:
            raise Unanswered(f"no answer from {self.host} ({type(error).__name__})") from None
        if answer.is_success or answer.status_code in also:
            return answer
        raise self._failure(answer)

    @property
    def host(self) -> str:
        """Where it goes, without anything personal."""
        return httpx.URL(self.base_url).netloc.decode()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _failure(self, answer: httpx.Response) -> SendError:
        status = answer.status_code
        said = f"{self.host} answered {status}"
        wait = retry_after(answer.headers)
        if status in LATER or (status == 503 and wait is not None):
            return NotSent(said, wait)
        if status in MISCONFIGURED:
            return NotSent(f"{said}: check the URL, the list's id and the credentials of the destination")
        if answer.has_redirect_location or 300 <= status < 400:
            return NotSent(f"{said}, a redirect, which is not followed: set the URL it leads to")
        if 400 <= status < 500 and status not in (408, 409):
            return RefusedBatch(said)
        return Unanswered(said)


@contextmanager
def after_first_call() -> Iterator[None]:
    """Around the later calls of one batch: since something has been applied already, `NotSent` would be a lie."""
    try:
        yield
    except NotSent as error:
        raise Unanswered(f"{error}, after a first call was applied") from None


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds to wait: `Retry-After` in seconds or as a date, or an epoch in `X-RateLimit-Reset`; None without."""
    told = headers.get("Retry-After", "").strip()
    moment = now or datetime.now(UTC)
    if told:
        seconds = _number(told)
        if seconds is None:
            try:
                seconds = (parsedate_to_datetime(told) - moment).total_seconds()
            except (ValueError, TypeError):
                return None
        return _bounded(seconds)
    reset = _number(headers.get("X-RateLimit-Reset", ""))
    # Some platforms give the epoch at which to come back, others the seconds until then.
    if reset is None:
        return None
    return _bounded(reset - moment.timestamp() if reset > LONGEST_WAIT else reset)


def answered(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object in an answer, empty if it holds none: an answer without a body is an answer."""
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value == value and abs(value) != float("inf") else None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_WAIT)
