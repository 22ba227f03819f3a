#!/bin/sh
# Prints two CloudEvents, one per line: a ticket is opened, then won.    ./cloudevents.sh > events.ndjson
#
# Each call makes up a new ticket. Save the output: to publish again, send the same bytes with the
# same id and time.
set -eu
operator=${1:-acme}
ticket=T$(date +%s)-$$
now=$(date -u +%FT%TZ)
for step in 1:ticket_open 2:ticket_win; do
  printf '{"specversion":"1.0","id":"%s","source":"https://backend.example/tickets","type":"example.backend.%s","subject":"%s","time":"%s","data":{"operator":"%s","ticket_id":"%s"}}\n' \
    "$ticket-${step%%:*}" "${step#*:}" "$ticket" "$now" "$operator" "$ticket"
done
