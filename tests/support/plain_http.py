"""What clients of `http://` addresses take for TLS, which they never begin."""

import ssl
from typing import Final

from tests.support.wait import PATIENCE

# Else each client reads all authorities of the web, which takes it 25 ms. This trusts none.
NO_AUTHORITIES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ANSWER_SECONDS_MAX: Final = PATIENCE.total_seconds()
