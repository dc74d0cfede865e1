"""How gunicorn serves the app, wherever it is started from this folder; `make serve` says address and workers."""

# With threads a worker is gthread: clients that keep a connection open, or send slowly, wait in its poller. A sync
# worker would wait for each of them, so that two idle browsers would stop two workers.
threads = 4
# Requests run side by side already; threads of the numeric libraries inside each would only fight over the cores.
raw_env = ["OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1"]
# Nothing here uses it, and it would write a socket into the user's home.
control_socket_disable = True
