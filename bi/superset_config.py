"""Superset's settings for `make superset`: one machine, nothing sent anywhere. Read by Superset, not by us."""

import os
from pathlib import Path

_FOLDER = Path(os.environ["RITORNO_SUPERSET_FOLDER"])

SECRET_KEY = (_FOLDER / "secret").read_text(encoding="utf-8")
SQLALCHEMY_DATABASE_URI = f"sqlite:///{_FOLDER / 'superset.db'}"
# Superset's own policy, less the pixel that would tell its makers of every page that is opened, and less map tiles.
TALISMAN_CONFIG = {
    "content_security_policy": {
        "base-uri": ["'self'"],
        "default-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "worker-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "object-src": "'none'",
        "style-src": ["'self'", "'unsafe-inline'"],
        "script-src": ["'self'", "'strict-dynamic'"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,
    "session_cookie_secure": False,
}
# The marts change once a day and each answer takes milliseconds: a cache would only show yesterday.
CACHE_CONFIG = DATA_CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}
SUPERSET_WEBSERVER_TIMEOUT = 120
FEATURE_FLAGS = {"ENABLE_TEMPLATE_PROCESSING": False}
LOG_LEVEL = "WARNING"
