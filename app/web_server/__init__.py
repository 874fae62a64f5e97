"""The gunicorn worker: it buffers requests and responses, so that slow clients hold no thread.

    worker      accepts connections, reads and writes them in one event loop, runs threads
    connection  one client connection and its state
    incoming    a request as it arrives: the head in memory, the body in memory or a temporary file
    outgoing    a response as it leaves: written at once, or from a buffer
    chunks      finds the end of a chunked body
    limits      how long and how large requests and responses may be

gunicorn parses requests and frames responses; nothing here interprets HTTP, except for where a
request ends.
"""
