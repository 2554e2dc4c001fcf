"""Superset's own commands in one process, since each start of Superset costs five seconds. Run by Superset's Python.

    python prepare.py empty               # the metadata database, migrated, with roles
    python prepare.py fill <bundle.zip>   # the administrator and the dashboards

RITORNO_SUPERSET_PASSWORD is the administrator's; empty leaves the one that there is.
"""

import logging
import os
import sys
from zipfile import ZipFile

from flask import g
from flask.cli import ScriptInfo
from superset.app import create_app
from superset.cli.main import superset

ADMIN = "admin"


def empty() -> None:
    """Superset's tables and roles."""
    for command in (["db", "upgrade"], ["init"]):
        superset.main(args=command, obj=ScriptInfo(create_app=lambda: app), standalone_mode=False)


def fill(bundle: str) -> None:
    """The administrator, and the dashboards as the bundle has them: an older import of them is overwritten."""
    from superset import security_manager
    from superset.commands.importers.v1.assets import ImportAssetsCommand
    from superset.commands.importers.v1.utils import get_contents_from_bundle

    password = os.environ["RITORNO_SUPERSET_PASSWORD"]
    with app.app_context():
        found = security_manager.find_user(ADMIN)
        if found is None:
            role = security_manager.find_role("Admin")
            security_manager.add_user(ADMIN, "Ritorno", "Admin", "admin@localhost", role, password)
        elif password:
            security_manager.reset_password(found.id, password)
        g.user = security_manager.find_user(ADMIN)
        with ZipFile(bundle) as opened:
            ImportAssetsCommand(get_contents_from_bundle(opened)).run()


if __name__ == "__main__":
    app = create_app()
    logging.disable(logging.WARNING)
    empty() if sys.argv[1] == "empty" else fill(sys.argv[2])
