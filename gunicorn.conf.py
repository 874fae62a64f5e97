"""The web process. The environment has few numbers to turn; docs/operating.md lists them."""

import json
import os
import re
import sys
import uuid

import gunicorn.util

wsgi_app = "wsgi:app"
_host = os.environ.get("BIND", "0.0.0.0")
bind = f"{f'[{_host}]' if ':' in _host else _host}:{os.environ.get('PORT', '8000')}"
worker_class = "app.web_server.worker.BufferedWorker"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "4"))

timeout = 30
graceful_timeout = 20  # less than the 30 s that a platform waits before it kills
keepalive = 75  # longer than a router keeps an idle connection, so that the router closes it
max_requests = 2000
max_requests_jitter = 200

limit_request_line = 8190
limit_request_field_size = 8190

# A worker's heartbeat is a file; on a disk that is busy the write may block.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None
accesslog = None  # the application logs each request itself, with its ids
control_socket_disable = True  # else it opens a socket in $HOME, which a container may not have


def on_starting(server):
    """Say what is wrong with the settings once, and end; else each worker would, for ever."""
    from app import interpreter, logs
    from app.settings import BadSettings, Settings
    from app.web_server.limits import Limits
    from app.web_server.worker import BufferedWorker

    if server.cfg.is_ssl:
        sys.exit("TLS is the proxy's task: remove --certfile and --keyfile.")
    try:
        settings = Settings.from_environ(os.environ)
    except BadSettings as error:
        sys.exit(str(error))
    logs.configure(settings.log_level)
    interpreter.warn_if_outdated()
    BufferedWorker.limits = Limits(
        head_seconds=settings.request_head_seconds,
        body_seconds=settings.request_body_seconds,
        max_body_bytes=settings.largest_body_bytes,
    )


def post_worker_init(worker):  # gunicorn's signature
    """Write the counts of key use now and then, in a thread of each worker."""
    from app import runtime
    from app.services.api_keys import usage

    runtime.spare_the_collector()

    worker.usage_flusher = usage.Flusher()
    worker.usage_flusher.start()


def worker_exit(server, worker):
    """Write what was counted since."""
    if hasattr(worker, "usage_flusher"):
        worker.usage_flusher.stop()


def _write_envelope(sock, status_int, reason, mesg):
    """What gunicorn refuses before the application sees it has the application's envelope."""
    code = re.sub(r"[^a-z]+", "_", reason.lower()) if status_int != 400 else "invalid_request"
    error = {"code": code, "message": str(mesg)[:300] or reason, "status": status_int}
    error["requestId"] = uuid.uuid4().hex
    body = json.dumps({"error": error}).encode()
    head = (
        f"HTTP/1.1 {status_int} {reason}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    gunicorn.util.write_nonblock(sock, head.encode("latin1") + body)


gunicorn.util.write_error = _write_envelope
