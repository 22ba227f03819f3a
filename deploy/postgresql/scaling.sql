-- KEDA's user of PostgreSQL, which counts the notices that are due and can read nothing else: no
-- payload, no address, no secret. As the owner of the tables who may create roles, once the schema is
-- there, in the database of Slipway (psql -f), then:
--
--     \password "slipway-scaling"
--
-- If the owner may not create roles, an administrator does, and the owner grants.

CREATE ROLE "slipway-scaling" LOGIN NOINHERIT;
ALTER ROLE "slipway-scaling" SET default_transaction_read_only = on;
ALTER ROLE "slipway-scaling" SET statement_timeout = '5s';
GRANT SELECT (id, disabled_at, ended_at) ON operator TO "slipway-scaling";
GRANT SELECT (operator, head, ended, due_at) ON notice TO "slipway-scaling";
