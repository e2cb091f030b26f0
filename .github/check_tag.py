"""Before a release: the tag, both distributions and the changelog name one version.

python .github/check_tag.py v0.2.0
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def wrong(tag: str) -> list[str]:
    """What does not agree with the tag, in a sentence each."""
    found = []
    for name in ("pyproject.toml", "wrapper/pyproject.toml"):
        (version,) = re.findall(
            r'^version = "(.+)"$', (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE
        )
        if tag != f"v{version}":
            found.append(f"the tag is {tag}, and {name} has version {version}")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## \[{re.escape(tag[1:])}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        found.append(f"CHANGELOG.md has no section for {tag}")
    return found


if __name__ == "__main__":
    problems = wrong(sys.argv[1])
    sys.stdout.write("".join(f"{problem}\n" for problem in problems))
    sys.exit(1 if problems else 0)
