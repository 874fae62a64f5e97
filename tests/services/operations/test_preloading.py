"""What the processes of jobs inherit instead of building it for each job."""

import subprocess
import sys

from tests.support.paths import ROOT

SCRIPT = """
import os
import app.models
from app.protocols import public_suffix
from app.services.operations import preloading

assert any(not mapper.configured for mapper in app.models.Base.registry.mappers)
preloading.preload()
if os.fork() == 0:
    assert all(mapper.configured for mapper in app.models.Base.registry.mappers)
    assert public_suffix._list.cache_info().currsize == 1
    os._exit(0)
raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_forked_process_inherits_mappers_and_public_suffixes() -> None:
    run = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, check=False)
    assert run.returncode == 0
