"""The application that gunicorn serves."""

import os
import sys

from app import create_app
from app.settings import BadSettings, Settings

try:
    app = create_app(Settings.from_environ(os.environ))
except BadSettings as error:
    sys.exit(str(error))
