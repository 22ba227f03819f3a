#!/bin/sh
# Prints two events, one per line: a ticket is opened, then won.    ./events.sh > events.ndjson
#
# Each call makes up a new ticket. Save the output: to publish again, send the same bytes with the
# same event_id and occurred_at.
set -eu
operator=${1:-acme}
ticket=T$(date +%s)-$$
now=$(date -u +%FT%TZ)
for step in 1:ticket_open 2:ticket_win; do
  printf '{"event_id":"%s","occurred_at":"%s","action":"%s","data":{"operator":"%s","ticket_id":"%s"}}\n' \
    "$ticket-${step%%:*}" "$now" "${step#*:}" "$operator" "$ticket"
done
