#!/bin/sh
# Publishes one event: ./publish.sh < event.json    (redis-cli 7.0 or newer)
#
# -e turns an error (Redis is full, or read-only) into an exit code; -x reads the event from standard
# input, where no other user can see it. If it fails, send the same event again.
set -eu
# redis-cli reads a URL without a user as a user with an empty name.
url=$(printf '%s' "$SLIPWAY_REDIS_URL" | sed 's|^\([a-z]*\)://:|\1://default:|')
exec redis-cli -e --no-auth-warning -u "$url" -x XADD ticket-events '*' event
