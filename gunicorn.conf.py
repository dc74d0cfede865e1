"""How gunicorn serves the app, wherever it is started from this folder (`make serve`, or `gunicorn wsgi:app`)."""

import gc
import importlib
import os
import secrets
import shutil
import sys
import tempfile

from churn.web.serving.worker import REQUEST_SECONDS, THREADS, Worker


def number(name, kind, default):
    """What the environment sets, a number above 0."""
    said = os.environ.get(name) or str(default)
    try:
        found = kind(said)
    except ValueError:
        found = 0
    if not found > 0:
        sys.exit(f"{name} is {said!r}; give a number above 0, or leave it out for {default:g}")
    return found


wsgi_app = "wsgi:app"
bind = os.environ.get("CHURN_BIND", "127.0.0.1:8000").split(",")
workers = number("WEB_CONCURRENCY", int, os.cpu_count() or 1)
number("CHURN_REQUEST_SECONDS", float, REQUEST_SECONDS)  # read by the workers
worker_class = Worker
threads = THREADS
worker_connections = 1000  # of one worker; further ones wait until some are gone
keepalive = 15  # seconds; a connection without a request takes no thread
graceful_timeout = 35  # seconds for the requests under way when it stops; none may take longer
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
logger_class = "churn.web.serving.journal.Logger"
# Requests run side by side already; threads of the numeric libraries inside each would only fight over the cores.
raw_env = ["OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1"]
# What the app imports of others, a second or two of it. The master does so once: its workers share the memory, and on
# a reload (HUP) the new ones, which read our own code anew, are there before anybody has waited for them.
shared = ["flask", "lightgbm", "pandas", "pydantic.json_schema", "skops.io", "sklearn.pipeline"]
shared += ["sqlalchemy.dialects.postgresql", "sqlalchemy.dialects.sqlite"]
# Nothing here uses it, and it would write a socket into the user's home.
control_socket_disable = True


def on_starting(server):
    """What all workers share: a key for sessions, the packages, and a folder to count in."""
    os.environ.setdefault("CHURN_SESSION_KEY", secrets.token_hex(32))
    os.environ.update(assignment.split("=") for assignment in raw_env)  # read when the packages are imported
    for package in shared:
        importlib.import_module(package)
    server.counts = tempfile.mkdtemp(prefix="churn-counts-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = server.counts  # read when prometheus_client is imported, by the workers


def post_fork(server, worker):
    """Forget what the master has read of our own code, so that a worker has all of it as it is now, or none."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "churn"]:
        del sys.modules[name]


def post_worker_init(worker):
    """Follow what is in production, in a thread of this worker; and look less for garbage: answers leave none."""
    from churn import stage
    from churn.web.serving.watching import Watcher

    gc.collect()
    gc.freeze()
    gc.set_threshold(*stage.GARBAGE)
    served = worker.wsgi.extensions["churn"].products.values()
    worker.watcher = Watcher([one.production for one in served])
    worker.watcher.start()


def worker_exit(server, worker):
    """Stop following."""
    if watcher := getattr(worker, "watcher", None):
        watcher.stop()


def child_exit(server, worker):
    """Let go of what only a living worker counts."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)


def on_exit(server):
    """Remove the counts."""
    shutil.rmtree(server.counts, ignore_errors=True)
