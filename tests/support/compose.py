"""docker-compose.yml, the Dockerfile and the scripts of include/deploy/, read as files: no engine is needed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from yingshang.settings import PROJECT_ROOT

FILE = PROJECT_ROOT / "docker-compose.yml"
DEPLOY = PROJECT_ROOT / "include" / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOT = {"init", "bi-state", "bi-init", "backup"}
"""Services that do one thing and end: they have no health."""


@dataclass(frozen=True)
class Stage:
    """One stage of the Dockerfile. ``instructions``: keyword and the rest, continued lines joined."""

    name: str
    base: str
    instructions: tuple[tuple[str, str], ...]

    def all(self, keyword: str) -> list[str]:
        return [rest for word, rest in self.instructions if word == keyword]


def stages() -> dict[str, Stage]:
    """The Dockerfile's stages by name, with ARG values put in."""
    text = re.sub(r"\\\n\s*", " ", (PROJECT_ROOT / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line.split(None, 1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    arguments = dict(rest.split("=", 1) for word, rest in lines if word == "ARG")
    found: dict[str, list[tuple[str, str]]] = {}
    bases: dict[str, str] = {}
    name = ""
    for word, rest in lines:
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            bases[name] = re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], base)
            found[name] = []
        elif name:
            found[name].append((word, rest))
    return {name: Stage(name, bases[name], tuple(instructions)) for name, instructions in found.items()}


def environment(service: str) -> dict[str, str]:
    """The environment of a service, with the defaults of what an .env file may set."""
    given = SERVICES[service].get("environment") or {}
    return {key: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)) for key, value in given.items()}
