"""The version of a row's client: the one that is installed, or that the manifest of a program pins."""

from __future__ import annotations

import importlib.metadata
import json
import re
from pathlib import Path

from docs.examples.programs import LANGUAGES
from docs.gallery.rows import Row

__all__ = ["version_of"]


def version_of(row: Row, languages: Path = LANGUAGES) -> str:
    """The version of a row's client.

    Raises:
        LookupError: the manifest does not pin it.
    """
    if not row.manifest:
        return importlib.metadata.version(row.client)
    manifest = languages / row.manifest
    text, name = manifest.read_text(encoding="utf-8"), re.escape(row.client)
    if manifest.suffix == ".json":  # a package-lock.json
        return str(json.loads(text)["packages"][f"node_modules/{row.client}"]["version"])
    pinned = {
        ".mod": rf"^(?:require)?\s+{name} v(\S+)",
        ".xml": rf"<artifactId>{name}</artifactId>\s*<version>([^<]+)<",
    }[manifest.suffix]
    found = re.search(pinned, text, re.MULTILINE)
    if found is None:
        raise LookupError(f"{row.manifest} pins no version of {row.client}")
    return found[1]
