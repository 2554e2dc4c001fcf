"""The project's engine macros, rendered for any engine without dbt, which parses for ten seconds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any

import jinja2
import pytz

from ritorno.home import PROJECT_ROOT

_MACRO = re.compile(r"(\{%-? macro (\w+)\(.*?endmacro -?%\})", re.DOTALL)
QUOTES = {"duckdb": '"', "postgres": '"', "spark": "`"}


class _Returned(Exception):  # noqa: N818
    """dbt's `return` ends a macro with a value, which plain Jinja can't."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


class _Macros:
    """The macros of a folder, by name; what they `return` or, if nothing, what they render."""

    def __init__(self, engine: str, variables: Mapping[str, Any], schema: str) -> None:
        self._engine = engine
        self._environment = jinja2.Environment(extensions=["jinja2.ext.do"], undefined=jinja2.StrictUndefined)
        self._environment.globals.update(
            adapter=SimpleNamespace(dispatch=self._dispatch, quote=self._quote),
            modules=SimpleNamespace(re=re, pytz=pytz),
            target=SimpleNamespace(type=engine, schema=schema),
            var=lambda name: variables[name],
            env_var=lambda name, default="": default,
            flags=SimpleNamespace(WHICH="run"),
            execute=True,
            ritorno=self,
        )
        self._environment.globals["return"] = self._return
        folder = PROJECT_ROOT / "macros" / "engines"
        text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.sql")))
        self._known: dict[str, Any] = {}
        # one template a macro, so that those that it calls are ours, which know what `return` means
        blocks = {found[2]: found[1] for found in _MACRO.finditer(text)}
        self._environment.globals.update({name: self._called(name) for name in blocks})
        for name, block in blocks.items():
            self._known[name] = getattr(self._environment.from_string(block).module, name)

    def __getattr__(self, name: str) -> Any:
        return self._called(name)

    def _called(self, name: str) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            try:
                return str(self._known[name](*arguments, **named)).strip()
            except _Returned as returned:
                return returned.value

        return call

    def _dispatch(self, name: str, package: str) -> Any:
        special = f"{self._engine}__{name}"
        return self._called(special if special in self._known else f"default__{name}")

    def _quote(self, name: str) -> str:
        quote = QUOTES[self._engine]
        return f"{quote}{name}{quote}"

    @staticmethod
    def _return(value: Any) -> None:
        raise _Returned(value)

    def render(self, template: str) -> str:
        return self._environment.from_string(template).render()


def render(template: str, engine: str, variables: Mapping[str, Any], schema: str = "ritorno") -> str:
    """SQL with macro calls in it, as the engine gets it."""
    return _macros(engine, tuple(sorted(variables.items())), schema).render(template)


@cache
def _macros(engine: str, variables: tuple[tuple[str, Any], ...], schema: str) -> _Macros:
    """Compiled once: half a second for each."""
    return _Macros(engine, dict(variables), schema)
