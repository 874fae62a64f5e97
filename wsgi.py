"""The application that gunicorn serves."""

import sys

from app import create_app
from app.settings import InvalidSettings, Settings

try:
    app = create_app(Settings.load())
except InvalidSettings as error:
    sys.exit(str(error))
