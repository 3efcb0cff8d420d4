"""What run.json says of a run: the command that makes it again, its settings, its versions and its machine."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from importlib import metadata
from pathlib import Path

from nas.errors import NasError
from nas.files import JsonObject, Stored, read_json, write_text
from nas.space.search_space import SearchSpace

SCHEMA_VERSION = 1
PACKAGES = ("torch", "timm", "numpy", "pymoo", "onnxruntime", "pandas", "plotly")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The content of run.json, in the order of its keys.

    It has no checksum: a user who moves a data set may correct its path there.
    """

    schema_version: int = SCHEMA_VERSION
    command: str
    created: str  # ISO date and time
    number: int = 0  # of the run, in the order in which runs were begun
    seed: int
    space: str
    data: str
    recipe: JsonObject  # settings of `nas.training.supernet.recipe.SupernetRecipe`
    sources: Mapping[str, str] = field(default_factory=dict)  # digests of what the training reads besides its data
    space_definition: JsonObject
    space_hash: str
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: JsonObject = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        """Return the object that run.json holds."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


def new_manifest(
    *,
    command: str,
    now: datetime,
    number: int,
    seed: int,
    space: SearchSpace,
    data: str,
    recipe: JsonObject,
    sources: Mapping[str, str],
    machine: JsonObject,
) -> Manifest:
    """Return the manifest of a run that begins now, on this machine."""
    versions = {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}}
    return Manifest(
        command=command,
        created=now.isoformat(timespec="seconds"),
        number=number,
        seed=seed,
        space=space.name,
        data=data,
        recipe=recipe,
        sources=sources,
        space_definition=space.to_dict(),
        space_hash=space.hash,
        versions=versions,
        machine=machine,
    )


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write run.json."""
    write_text(path, json.dumps(manifest.to_json(), indent=1) + "\n")


def read_manifest(path: Path) -> Manifest:
    """Read run.json; `NasError` where it is damaged or was not written by `nas train-supernet`."""
    content = read_json(path)
    if "space_definition" not in content:
        raise NasError(f"{path} names no search space", "Train one: nas train-supernet --space scan-mix-tiny")
    return manifest_of(content)


def manifest_of(content: Stored) -> Manifest:
    """Return the manifest of a JSON object; what later versions have added keeps its default."""
    later = {"number", "sources", "versions", "machine", "schema_version"}
    names = [item.name for item in fields(Manifest)]
    return Manifest(**{name: content[name] for name in names if name in content or name not in later})
