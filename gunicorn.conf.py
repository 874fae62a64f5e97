"""Configuration of the web process. docs/operating.md lists its environment variables."""

import os
import sys

wsgi_app = "wsgi:app"
_host = os.environ.get("BIND", "0.0.0.0")
bind = f"{f'[{_host}]' if ':' in _host else _host}:{os.environ.get('PORT', '8000')}"
worker_class = "app.web_server.worker.BufferedWorker"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "4"))

timeout = 30
graceful_timeout = 20  # less than the 30 s that platforms wait before SIGKILL
keepalive = 75  # longer than a router keeps an idle connection, so that the router closes it
# Starting a worker takes seconds, so workers are replaced rarely, and not all at the same time.
max_requests = 100_000
max_requests_jitter = 50_000

limit_request_line = 8190
limit_request_field_size = 8190

# The heartbeat of a worker is a file, and a write to a busy disk may block.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None
logger_class = "app.web_server.log.JsonLogger"
accesslog = None  # the application logs each request with its ids
control_socket_disable = True  # otherwise gunicorn opens a socket in $HOME, which may not exist


def on_starting(server):
    """Print invalid settings once and exit; otherwise each worker would fail repeatedly."""
    from app import interpreter, logs
    from app.jobs import queue
    from app.limits.rejected_requests import RejectedRequests
    from app.services.core import profiles
    from app.settings import InvalidSettings, Settings
    from app.web_server.limits import Limits
    from app.web_server.worker import BufferedWorker

    if server.cfg.is_ssl:
        sys.exit("TLS is terminated by the proxy: remove --certfile and --keyfile.")
    try:
        settings = Settings.load()
        profiles.load(settings.profiles_file)
    except InvalidSettings as error:
        sys.exit(str(error))
    logs.configure(settings.log_level)
    interpreter.warn_if_outdated()
    queue.bind(settings.redis_client_url)
    queue.is_ready()  # logs why not; limits are then counted in each process
    BufferedWorker.limits = Limits(
        head_seconds=settings.request_head_seconds,
        body_seconds=settings.request_body_seconds,
        max_body_bytes=settings.largest_body_bytes,
    )
    rejected = RejectedRequests(settings.unauthenticated_rate_limit)
    BufferedWorker.headers_of_error = rejected.headers


def post_worker_init(worker):  # gunicorn's signature
    """Prepare what requests need, and start a thread that writes API key usage periodically."""
    from app.services.api_keys import usage
    from app.services.operations import preloading

    preloading.preload()
    worker.usage_flusher = usage.Flusher()
    worker.usage_flusher.start()


def worker_exit(server, worker):
    """Write the remaining API key usage and metrics."""
    from app.metrics import increments

    increments.flush()
    if hasattr(worker, "usage_flusher"):
        worker.usage_flusher.stop()
