"""The web process. The environment has few numbers to turn; docs/operating.md lists them."""

import os

wsgi_app = "wsgi:app"
_host = os.environ.get("BIND", "0.0.0.0")
bind = f"{f'[{_host}]' if ':' in _host else _host}:{os.environ.get('PORT', '8000')}"
worker_class = "gthread"
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
