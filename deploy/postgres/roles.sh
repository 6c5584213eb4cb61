#!/bin/sh
# Roles, once, in a fresh cluster: the owner changes tables, the gateway fills them, a reader reads.
# The gateway's role owns nothing, so that it can neither change a table nor disable a trigger that keeps the ledger
# append-only. Run by the image of PostgreSQL at its first start; elsewhere by hand, with these variables set.
set -eu
: "${CCAPI_OWNER_PASSWORD:?}" "${CCAPI_APP_PASSWORD:?}" "${POSTGRES_DB:=ccapi}" "${POSTGRES_USER:=postgres}"
export CCAPI_OWNER_PASSWORD CCAPI_APP_PASSWORD # psql reads them itself: no list of processes shows them

psql -v ON_ERROR_STOP=1 --no-psqlrc -U "$POSTGRES_USER" -d "$POSTGRES_DB" <<'SQL'
\getenv owner_password CCAPI_OWNER_PASSWORD
\getenv app_password CCAPI_APP_PASSWORD
SET password_encryption = 'scram-sha-256';
CREATE ROLE ccapi_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE ccapi LOGIN PASSWORD :'app_password';
CREATE ROLE ccapi_read NOLOGIN;
ALTER ROLE ccapi SET lock_timeout = '5s';
ALTER ROLE ccapi SET statement_timeout = '60s';
ALTER ROLE ccapi SET idle_in_transaction_session_timeout = '30s';
-- A migration that cannot have its lock gives up, rather than keep everybody behind it waiting.
ALTER ROLE ccapi_owner SET lock_timeout = '5s';

SELECT current_database() AS name \gset
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"name" TO ccapi_owner, ccapi, ccapi_read;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO ccapi_owner;
GRANT USAGE ON SCHEMA public TO ccapi, ccapi_read;
ALTER DEFAULT PRIVILEGES FOR ROLE ccapi_owner IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ccapi;
ALTER DEFAULT PRIVILEGES FOR ROLE ccapi_owner IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO ccapi;
ALTER DEFAULT PRIVILEGES FOR ROLE ccapi_owner IN SCHEMA public GRANT SELECT ON TABLES TO ccapi_read;
SQL
