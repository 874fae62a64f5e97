"""The gunicorn worker, which buffers requests and responses so that slow clients block no thread.

    worker      accepts connections, reads and writes them in one event loop, runs threads
    connection  one client connection and its state
    incoming    the incoming request: its head in memory, its body in memory or a temporary file
    outgoing    the outgoing response: written immediately, or from a buffer
    chunks      finds the end of a chunked body
    limits      how long and how large requests and responses may be

gunicorn parses requests and frames responses; this package only finds the end of a request.
"""
