"""The Jupyter server extension: shows and steers the sessions of the configured store, without a kernel.

Jupyter loads it by ``jupyter_server_config.d/burst_magic.json``. It runs no user code and unpickles nothing.
"""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "burst_magic.server"}]


def _load_jupyter_server_extension(serverapp: Any) -> None:
    from burst_magic.server.routes import add_routes

    add_routes(serverapp.web_app)
