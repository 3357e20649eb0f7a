"""Serving the portal with gunicorn, on a socket that only the TLS front can reach."""

from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from werkzeug.middleware.proxy_fix import ProxyFix

from appliance.config import Config
from appliance.web.app import create_app
from appliance.web.enrolment import Desk


class _Portal(BaseApplication):  # type: ignore[misc]
    def __init__(self, config: Config, say: Callable[[str], None], desk: Desk) -> None:
        self._config, self._say, self._desk = config, say, desk
        super().__init__()

    def load_config(self) -> None:
        settings: dict[str, Any] = {
            "bind": f"unix:{self._config.run / 'portal.sock'}",
            "worker_class": "gthread",
            "workers": 2,
            "threads": 8,
            "timeout": 60,
            "graceful_timeout": 5,
            "worker_tmp_dir": str(self._config.run),
            "control_socket_disable": True,
            "proc_name": "trustkeep-portal",
            "loglevel": "warning",
        }
        for name, value in settings.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        app = create_app(self._config, self._say, self._desk)
        # nginx is the only one who can reach the socket, so its word on address and scheme is taken
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1)  # type: ignore[method-assign]
        return app


def serve(config: Config, say: Callable[[str], None], desk: Desk) -> None:
    """Serve until told to stop. desk: takes on devices that bring an enrolment code."""
    _Portal(config, say, desk).run()
