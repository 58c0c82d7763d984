"""Superset's configuration: on loopback, with nothing sent out, each user on a login of the warehouse of their own."""

import os
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.engine.url import URL
from superset.utils.log import AbstractEventLogger
from warehouse_login import login, role_of_the_user

STATE = Path(os.environ["YINGSHANG_BI_STATE"])
PLACEHOLDER = os.environ["YINGSHANG_BI_PLACEHOLDER"]

SECRET_KEY = (STATE / "secret_key").read_text(encoding="utf-8").strip()
METADATA_FILE = os.environ.get("YINGSHANG_BI_METADATA_DSN_FILE")
SQLALCHEMY_DATABASE_URI = (
    (Path(METADATA_FILE).read_text(encoding="utf-8").strip() if METADATA_FILE else "")
    or os.environ.get("YINGSHANG_BI_METADATA_DSN")
    or f"sqlite:///{STATE / 'metadata.db'}?timeout=30"
)
SQLALCHEMY_TRACK_MODIFICATIONS = False
PREVENT_UNSAFE_DB_CONNECTIONS = True


def DB_CONNECTION_MUTATOR(  # noqa: N802 - Superset's name
    uri: URL, params: dict[str, Any], username: str | None, security_manager: Any, source: Any
) -> tuple[URL, dict[str, Any]]:
    """Log in to the warehouse as the user's own role. No user, no connection."""
    if uri.host != PLACEHOLDER:
        return uri, params
    role = role_of_the_user()
    options = {**params.get("connect_args", {}), "application_name": "superset", "connect_timeout": 10}
    return uri.set(username=role), {**params, "creator": partial(login, role, **options)}


# What is cached: charts' data, by role and publication (publication_cache). Names of schemas and tables are not.
CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}
DATA_CACHE_CONFIG = {
    "CACHE_TYPE": "publication_cache.PublicationCache",
    "CACHE_DIR": str(STATE / "cache"),
    "CACHE_THRESHOLD": 5000,
    "CACHE_DEFAULT_TIMEOUT": 24 * 3600,
}
FILTER_STATE_CACHE_CONFIG = {
    "CACHE_TYPE": "FileSystemCache",
    "CACHE_DIR": str(STATE / "filter_state"),
    "CACHE_DEFAULT_TIMEOUT": 90 * 24 * 3600,
    "REFRESH_TIMEOUT_ON_RETRIEVAL": True,
}
EXPLORE_FORM_DATA_CACHE_CONFIG = FILTER_STATE_CACHE_CONFIG | {"CACHE_DIR": str(STATE / "form_data")}
THUMBNAIL_CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}
RESULTS_BACKEND = None

# Nothing goes out, and the browser is told so too: no telemetry pixel, maps, fonts or pictures of others.
TALISMAN_CONFIG = {
    "content_security_policy": {
        "base-uri": ["'self'"],
        "default-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "worker-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "object-src": "'none'",
        "style-src": ["'self'", "'unsafe-inline'"],
        "font-src": ["'self'", "data:"],
        "script-src": ["'self'", "'strict-dynamic'"],
        "frame-ancestors": ["'self'"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,
    "session_cookie_secure": False,
}
BUG_REPORT_URL = None
DOCUMENTATION_URL = None
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"

# A chart says its own row limit; these are above all of them, so that nothing is cut off unseen.
ROW_LIMIT = 50000
SQL_MAX_ROW = 100000
DISPLAY_MAX_ROW = 50000
FILTER_SELECT_ROW_LIMIT = 20000
NATIVE_FILTER_DEFAULT_ROW_LIMIT = 20000
SQLLAB_TIMEOUT = 60
SUPERSET_WEBSERVER_TIMEOUT = 120

# Heatmaps' colours: nothing is pale in each, and red is what a person should look at.
EXTRA_SEQUENTIAL_COLOR_SCHEMES = [
    {"id": f"yingshang_{name}", "label": label, "description": label, "isDiverging": False, "colors": colours}
    for name, label, colours in (
        ("more", "More of it 数量", ["#eef1f5", "#9ecae1", "#4b97c9", "#2171b5", "#08306b"]),
        ("better", "Better the higher 越高越好", ["#b3261e", "#e8a33d", "#d3ebdf", "#2f7d58"]),
        ("worse", "Worse the higher 越高越差", ["#eef1f5", "#f5c4bf", "#e0776f", "#b3261e"]),
    )
]

APP_NAME = "Yingshang 营商"
BABEL_DEFAULT_LOCALE = "en"
LANGUAGES = {"en": {"flag": "us", "name": "English"}, "zh": {"flag": "cn", "name": "中文"}}
FEATURE_FLAGS = {
    "ALERT_REPORTS": False,
    "ENABLE_TEMPLATE_PROCESSING": False,
    "EMBEDDED_SUPERSET": False,
    "THUMBNAILS": False,
}


class NoEventLog(AbstractEventLogger):
    """Who opened what is not kept: the web server's log has the requests."""

    def log(self, *args: Any, **kwargs: Any) -> None:
        """Keep nothing."""


EVENT_LOGGER = NoEventLog()
