#!/bin/sh
# Publishes events over HTTP, one per line: ./publish-http.sh < events.ndjson    (curl 7.76 or newer)
#
# GATEWAY_URL is http://HOST:PORT, API_KEY_FILE holds one line, `X-Api-Key: slipway_...`. curl retries on its own
# after 408, 429 and 503, as Retry-After says. If it fails, send the same lines again.
set -eu
exec curl --silent --show-error --fail-with-body --retry 5 --max-time 300 --write-out '\n' \
  --header @"$API_KEY_FILE" --header 'Content-Type: application/x-ndjson' \
  --data-binary @- "$GATEWAY_URL/events"
