"""What a circuit's row says of the calls that deliverers have in flight, as a piece of SQL."""

from typing import Final

# For a circuit row `c`: each deliverer whose calls may not be over by `:now`. Moments stand there
# in UTC and in one form, so as texts they are in the order of time. Whatever else stands there was
# written by nobody of ours: it is passed over, for an error here would end all claims.
CALLS_IN_FLIGHT: Final = """
    SELECT d.key AS deliverer, CAST(d.value ->> 'calls' AS int) AS calls, d.value
      FROM jsonb_each(CASE jsonb_typeof(c.in_flight) WHEN 'object' THEN c.in_flight END) d
     WHERE d.value ->> 'calls' ~ '^[0-9]{1,6}$'
       AND d.value ->> 'until' ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}T'
       AND (d.value ->> 'until') COLLATE "C"
           > (to_jsonb(CAST(:now AS timestamptz)) #>> '{}') COLLATE "C\""""
