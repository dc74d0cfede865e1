"""Where the app finds its config, and where it logs."""

import os
from pathlib import Path

from churn import idle


def default_config() -> Path:
    """The config that serves when none is named."""
    return Path(os.environ.get("CHURN_CONFIG") or Path(idle.HOME) / "config.json")


def log_folder() -> Path:
    """The folder for the logs of the app as a whole, which serves every product."""
    return Path(idle.logs_beside(str(default_config().resolve())))
