"""Say whether this machine has what the tests need: exit 0, or 1 with what to install."""

import os
import sys

from tests.services.programs import ProgramMissingError, check_services

try:
    check_services(os.environ)
except ProgramMissingError as error:
    sys.exit(str(error))
