"""Validators of OCDS releases: the exported profile, and the standard's own schemas where a folder of them is given.

``YINGSHANG_OCDS_SCHEMAS`` names a folder with release-schema.json and release-package-schema.json of OCDS 1.1.
"""

import json
import os
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema

_given = os.environ.get("YINGSHANG_OCDS_SCHEMAS")  # read now: the fixtures take such variables away
STANDARD = Path(_given) if _given else None
Json = dict[str, Any]


def profile() -> Json:
    """The schema of what is exported."""
    return json.loads(resources.files("yingshang.export").joinpath("release.schema.json").read_text(encoding="utf-8"))


def standard(name: str) -> Json | None:
    """A schema of the standard, if there is a folder of them."""
    return json.loads((STANDARD / name).read_text(encoding="utf-8")) if STANDARD else None


def release_errors(release: Json) -> list[str]:
    """What is wrong with a release, by the profile and by the standard."""
    schemas = [profile(), *([given] if (given := standard("release-schema.json")) else [])]
    return [
        f"{error.json_path}: {error.message}"
        for schema in schemas
        for error in jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker()).iter_errors(release)
    ]


def package_errors(package: Json) -> list[str]:
    """What is wrong with a release package."""
    found = [f"{name} is missing" for name in ("uri", "version", "publishedDate", "publisher") if not package.get(name)]
    if given := standard("release-package-schema.json"):
        given["properties"]["releases"]["items"] = {}
        found += [error.message for error in jsonschema.Draft4Validator(given).iter_errors(package)]
    ids = [release["id"] for release in package["releases"]]
    found += [f"release {one} stands twice" for one in set(ids) if ids.count(one) > 1]
    return found + [error for release in package["releases"] for error in release_errors(release)]


def undefined_fields() -> list[str]:
    """Fields of the profile that the standard does not define; empty where no folder of schemas is given."""
    given = standard("release-schema.json")
    return list(_undefined(profile(), given, profile(), given, "")) if given else []


def _undefined(ours: Json, theirs: Json, our_root: Json, their_root: Json, path: str) -> Any:
    ours, theirs = _resolved(ours, our_root), _resolved(theirs, their_root)
    for name, part in ours.get("properties", {}).items():
        other = theirs.get("properties", {}).get(name)
        if other is None:
            yield f"{path}/{name}"
        else:
            yield from _undefined(part, other, our_root, their_root, f"{path}/{name}")
    if "items" in ours:
        yield from _undefined(ours["items"], theirs.get("items", {}), our_root, their_root, f"{path}[]")


def _resolved(schema: Json, root: Json) -> Json:
    reference = schema.get("$ref", "")
    return root["definitions"][reference.rsplit("/", 1)[1]] if reference.startswith("#/") else schema
