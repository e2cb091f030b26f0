"""``pytest --netfault-storm``: the tests of a suite are learned, and played again as items of their own under faults.

Imported with the option only. What is decided is in :mod:`pytest_netfault.storm`; here is what pytest needs: the items
(:mod:`.items`), how a test is played (:mod:`.plays`), what it is learned from (:mod:`.learning`), which items are made
(:mod:`.collecting`), what an item comes to (:mod:`.judging`), the hooks (:mod:`.hooks`) and the end of the session
(:mod:`.summary`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_netfault.plugin.options import Settings
    from pytest_netfault.plugin.storm.hooks import Storm

__all__ = ["begin", "shared_folder"]

_SHARED: pytest.StashKey[Path] = pytest.StashKey()


def begin(config: pytest.Config, settings: Settings) -> Storm:
    """Register what a session with a storm needs.

    Raises:
        pytest.UsageError: the baseline cannot be read.
    """
    from pytest_netfault.plugin.storm.hooks import Storm
    from pytest_netfault.plugin.storm.summary import StormSummary

    from_controller = getattr(config, "workerinput", {}).get("netfault", {})
    shared = Path(from_controller["learned"]) if from_controller.get("learned") else None
    storm = Storm(config, settings, shared)
    config.pluginmanager.register(storm, "netfault-storm")
    if not from_controller:
        config.pluginmanager.register(StormSummary(config, settings, storm), "netfault-storm-summary")
    return storm


def shared_folder(config: pytest.Config) -> Path:
    """Where the workers of a session share what they learn; removed with the session."""
    import shutil
    import tempfile

    folder = config.stash.get(_SHARED, None)
    if folder is None:
        folder = config.stash[_SHARED] = Path(tempfile.mkdtemp(prefix="netfault-storm-"))
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    return folder
