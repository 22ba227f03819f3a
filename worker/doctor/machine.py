"""Checks this process's surroundings: limits of the machine, and variables that others read."""

import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from models.settings.settings import Settings
from worker.doctor.finding import Finding, doubtful

MACHINE: Final = "this machine"
_FILES_BESIDES_CALLS: Final = 200  # servers' connections, pools, modules, logs
_PROXIES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
# libpq prefers what these say to what the URL says, or adds it.
_LIBPQ: Final = ("PGHOSTADDR", "PGSERVICE", "PGTARGETSESSIONATTRS", "PGOPTIONS")
_AUTHORITIES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def check_machine(settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Check the limit on open files, and the variables beside Slipway's own; none is shown."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.in_flight_max + _FILES_BESIDES_CALLS
    if soft != resource.RLIM_INFINITY and soft < needed:
        yield doubtful(
            MACHINE,
            f"a process may open {soft:,} files, and a deliverer with SLIPWAY_IN_FLIGHT_MAX="
            f"{settings.in_flight_max} needs {needed:,}: calls fail with 'Too many open files'",
            remedy="raise the limit (ulimit -n, LimitNOFILE of systemd, ulimits of compose), or"
            " lower SLIPWAY_IN_FLIGHT_MAX",
        )
    set_here = {name for name, value in environment.items() if value}
    proxies = [name for name in _PROXIES if {name, name.lower()} & set_here]
    if proxies and settings.partner_proxy is None and settings.partner_proxy_file is None:
        yield doubtful(
            MACHINE,
            f"{', '.join(proxies)} is set, and Slipway ignores it: partners are called directly",
            remedy="if they can be reached through that proxy alone, set SLIPWAY_PARTNER_PROXY",
        )
    if read := [name for name in _LIBPQ if name in set_here]:
        yield doubtful(
            MACHINE,
            f"{', '.join(read)} is set, which libpq reads besides SLIPWAY_DATABASE_URL: a process"
            " may reach another server than the URL names",
            remedy="unset it for Slipway's processes, and write what is meant into the URL",
        )
    for name in _AUTHORITIES:
        path = environment.get(name)
        if path and not os.access(Path(path), os.R_OK):
            yield doubtful(
                MACHINE,
                f"{name} names {path}, which cannot be read: no public authority is trusted where"
                " TLS is used",
                remedy=f"correct or unset {name}",
            )
