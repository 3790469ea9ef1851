"""Say whether this machine has what the tests need.

Exit codes: 0 it has; 1 something is to be installed; 2 a server that the tester has named cannot be used. The
last two with a sentence on standard error.
"""

import os
import sys

from tests.services.browser import find_browser
from tests.services.given import GivenServerError, check_given_servers
from tests.services.programs import ProgramMissingError, check_services

try:
    check_given_servers(os.environ)
    check_services(os.environ)
    find_browser()
except GivenServerError as error:
    print(error, file=sys.stderr)  # noqa: T201 - this is the program's voice
    sys.exit(2)
except ProgramMissingError as error:
    sys.exit(str(error))
