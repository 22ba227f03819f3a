#!/bin/sh
# Events over HTTP, one a line: ./publish-http.sh < events.ndjson    (curl 7.76 or newer)
#
# GATEWAY_URL is http://HOST:PORT, API_KEY_FILE holds one line, `X-Api-Key: slipway_...`. curl tries again by itself after 408,
# 429 and 503, as long after as Retry-After says. When it fails, send the same lines again.
set -eu
exec curl --silent --show-error --fail-with-body --retry 5 --max-time 300 --write-out '\n' \
  --header @"$API_KEY_FILE" --header 'Content-Type: application/x-ndjson' \
  --data-binary @- "$GATEWAY_URL/events"
