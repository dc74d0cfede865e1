"""The app for gunicorn (`make serve`); its log goes to stderr and to logs/app.txt beside the config."""

import contextlib
import logging
from pathlib import Path

from gunicorn.errors import AppImportError

from app import create_app
from churn import stage, storage
from churn.errors import ConfigError, ReleaseError
from churn.web.serving import places


class LogFile(logging.Handler):
    """Append each record by itself: several workers share the file, and whichever finds it too long moves it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def emit(self, record: logging.LogRecord) -> None:
        try:
            storage.append_line(self.path, self.format(record))
        except OSError:
            self.handleError(record)


def set_up_logging() -> None:
    """Log to stderr and to the file."""
    log_file = LogFile(places.log_folder() / "app.txt")
    for handler in (logging.StreamHandler(), log_file):
        handler.setFormatter(stage.formatter())
        logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)


set_up_logging()
try:
    app = create_app()
except ConfigError as error:
    # The one error that makes gunicorn stop with the message alone.
    raise AppImportError(str(error)) from None
for served in app.extensions["churn"].products.values():
    # Now, so that no client waits for it; what is wrong with a release is told to whoever asks for it.
    with contextlib.suppress(ReleaseError):
        served.production.release()
