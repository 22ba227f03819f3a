#!/bin/sh
# One event onto the stream: ./publish.sh < event.json    (redis-cli 7.0 or newer)
#
# -e makes a refusal (Redis is full, or read-only) an exit code; -x reads the event from standard
# input, where no other user can see it. When it fails, send the same event again.
set -eu
# redis-cli takes a URL without a user name for one whose user has no name.
url=$(printf '%s' "$SLIPWAY_REDIS_URL" | sed 's|^\([a-z]*\)://:|\1://default:|')
exec redis-cli -e --no-auth-warning -u "$url" -x XADD ticket-events '*' event
