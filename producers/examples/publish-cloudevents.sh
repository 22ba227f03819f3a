#!/bin/sh
# Publishes CloudEvents over HTTP in a batch, one per line: ./publish-cloudevents.sh < events.ndjson    (curl 7.76 or newer)
#
# GATEWAY_URL is http://HOST:PORT, API_KEY_FILE holds one line, `X-Api-Key: slipway_...`. All are published, or none;
# at most 10,000. curl retries on its own after 408, 429 and 503. If it fails, send the same lines again.
set -eu
sed -e '1s/^/[/' -e '$!s/$/,/' -e '$s/$/]/' |
  curl --silent --show-error --fail-with-body --retry 5 --max-time 60 --write-out '\n' \
    --header @"$API_KEY_FILE" --header 'Content-Type: application/cloudevents-batch+json' \
    --data-binary @- "$GATEWAY_URL/events"
