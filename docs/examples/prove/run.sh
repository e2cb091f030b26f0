#!/bin/sh
# The gate of a repository without pytest: what the last command ends with is the verdict.
#   python -m pip install pytest-netfault redis
set -eu
cd "$(dirname "$0")"

netfault prove stores.py:open_store --server servers.py:open_redis \
    --max-examples 50 --settle 2 \
    --output netfault-reports --summary github "$@"
