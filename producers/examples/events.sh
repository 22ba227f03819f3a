#!/bin/sh
# Two events, one a line: a ticket is opened, and won a moment later.    ./events.sh > events.ndjson
#
# Each call invents a ticket of its own, just now. Keep what it prints: the repeat of a publication
# is the same bytes again, with the same event_id and occurred_at.
set -eu
operator=${1:-acme}
ticket=T$(date +%s)-$$
now=$(date -u +%FT%TZ)
for step in 1:ticket_open 2:ticket_win; do
  printf '{"event_id":"%s","occurred_at":"%s","action":"%s","data":{"operator":"%s","ticket_id":"%s"}}\n' \
    "$ticket-${step%%:*}" "$now" "${step#*:}" "$operator" "$ticket"
done
