-- Options: names, values, and who may set them.

CREATE SERVER opt FOREIGN DATA WRAPPER mongo_migrate;

-- Names.  A near one is suggested.
ALTER SERVER opt OPTIONS (ADD url 'mongodb://localhost');
ALTER SERVER opt OPTIONS (ADD databse 'shop');
ALTER SERVER opt OPTIONS (ADD nothing_like_it '1');
ALTER SERVER opt OPTIONS (ADD username 'u');
CREATE USER MAPPING FOR CURRENT_USER SERVER opt OPTIONS (user 'u');
CREATE USER MAPPING FOR CURRENT_USER SERVER opt OPTIONS (database 'shop');
CREATE USER MAPPING FOR CURRENT_USER SERVER opt OPTIONS (password 's');
CREATE FOREIGN TABLE ft (id int) SERVER opt OPTIONS (colection 'c');
CREATE FOREIGN TABLE ft (id int OPTIONS (paht 'a')) SERVER opt;

-- Connection strings.
ALTER SERVER opt OPTIONS (ADD uri '');
ALTER SERVER opt OPTIONS (ADD uri 'localhost');
ALTER SERVER opt OPTIONS (ADD uri 'postgres://localhost/');
ALTER SERVER opt OPTIONS (ADD uri 'mongodb://user:secret@localhost/');
ALTER SERVER opt OPTIONS (ADD uri 'mongodb+srv://user@cluster.example/');
ALTER SERVER opt OPTIONS (ADD uri 'mongodb://localhost/?tlsCAFile=/etc/passwd');
ALTER SERVER opt OPTIONS (ADD uri 'mongodb://localhost/?tlsCertificateKeyFile=/etc/passwd');
ALTER SERVER opt OPTIONS (ADD uri 'mongodb://localhost/?ssl=true&sslCertificateAuthorityFile=/etc/passwd');
ALTER SERVER opt OPTIONS (ADD uri 'mongodb://localhost/?replicaSet=rs0&w=0');
ALTER SERVER opt OPTIONS (ADD uri 'mongodb://localhost/?authMechanism=MONGODB-AWS');
ALTER SERVER opt OPTIONS (ADD uri 'mongodb://localhost/?authMechanism=MONGODB-X509&authMechanismProperties=a:b');
\set VERBOSITY terse
ALTER SERVER opt OPTIONS (ADD uri 'mongodb://');
ALTER SERVER opt OPTIONS (ADD uri 'mongodb://localhost:port/');
ALTER SERVER opt OPTIONS (ADD uri 'mongodb://localhost/?tls=maybe');
ALTER SERVER opt OPTIONS (ADD uri 'mongodb://localhost/?replicaset=rs0&maxStaleness=3');
\set VERBOSITY default
ALTER SERVER opt OPTIONS (DROP uri);
ALTER SERVER opt OPTIONS (ADD uri 'mongodb+srv://cluster.mongo.example/');
ALTER SERVER opt OPTIONS (SET uri 'mongodb://one:27017,two:27018/shop?replicaSet=rs0');
ALTER SERVER opt OPTIONS (SET uri 'mongodb://%2Ftmp%2Fmongodb-27017.sock/');

-- Values.
ALTER SERVER opt OPTIONS (ADD database '');
ALTER SERVER opt OPTIONS (ADD database 'shop.orders');
ALTER SERVER opt OPTIONS (ADD replica_set '');
ALTER SERVER opt OPTIONS (ADD fetch_size '0');
ALTER SERVER opt OPTIONS (ADD fetch_size '10.5');
ALTER SERVER opt OPTIONS (ADD fetch_size '3000000000');
ALTER SERVER opt OPTIONS (ADD connect_timeout_ms 'soon');
ALTER SERVER opt OPTIONS (ADD fdw_startup_cost '-1');
ALTER SERVER opt OPTIONS (ADD fdw_tuple_cost 'NaN');
ALTER SERVER opt OPTIONS (ADD tls 'maybe');
ALTER SERVER opt OPTIONS (ADD extended_json 'strict');
ALTER SERVER opt OPTIONS (ADD read_preference 'second');
ALTER SERVER opt OPTIONS (ADD read_concern 'strong');
ALTER SERVER opt OPTIONS (ADD compressors 'zlib,lz4');
ALTER SERVER opt OPTIONS (ADD auth_mechanism 'GSSAPI');
ALTER SERVER opt OPTIONS (ADD auth_mechanism 'MONGODB-AWS');
CREATE FOREIGN TABLE ft (id int OPTIONS (path 'a\')) SERVER opt;
CREATE FOREIGN TABLE ft (a int OPTIONS (path ''), b int OPTIONS (path 'a..b'), c int OPTIONS (path 'a\.'), d int OPTIONS (path 'a\\')) SERVER opt;
DROP FOREIGN TABLE ft;

-- All of them, well.
ALTER SERVER opt OPTIONS (ADD database 'shop', ADD replica_set 'rs0', ADD app_name 'test',
    ADD read_preference 'secondaryPreferred', ADD read_concern 'majority', ADD compressors 'zlib,zstd',
    ADD connect_timeout_ms '1000', ADD server_selection_timeout_ms '1000', ADD socket_timeout_ms '1000',
    ADD keep_connections 'off', ADD tls 'true', ADD tls_ca_file '/nowhere/ca.pem',
    ADD tls_certificate_key_file '/nowhere/key.pem', ADD tls_allow_invalid_certificates 'true',
    ADD tls_allow_invalid_hostnames 'true', ADD auth_source 'admin', ADD auth_mechanism 'SCRAM-SHA-256',
    ADD extended_json 'canonical', ADD fetch_size '1000', ADD use_remote_estimate 'true',
    ADD fdw_startup_cost '10', ADD fdw_tuple_cost '0.1');
CREATE USER MAPPING FOR CURRENT_USER SERVER opt OPTIONS (username 'u', password 's', auth_source 'admin',
    auth_mechanism 'MONGODB-X509', tls_certificate_key_file '/nowhere/key.pem',
    tls_certificate_key_file_password '', password_required 'false');
CREATE FOREIGN TABLE ft (id int OPTIONS (path '_id', extended_json 'plain'),
    doc text OPTIONS (path '$'), sku text OPTIONS (path 'items.0.sku'))
    SERVER opt OPTIONS (collection 'orders', extended_json 'relaxed', fetch_size '1', use_remote_estimate 'false');

-- A file that is not there is named.
SELECT mongo_migrate.run_command('opt', '{"ping": 1}');
SET client_min_messages = warning;
DROP SERVER opt CASCADE;
RESET client_min_messages;

-- Files, and doing without a password, are not for everyone.
CREATE ROLE regress_mm_opt;
GRANT USAGE ON FOREIGN DATA WRAPPER mongo_migrate TO regress_mm_opt;
SET ROLE regress_mm_opt;
CREATE SERVER opt FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri 'mongodb://localhost', tls_ca_file '/etc/passwd');
CREATE SERVER opt FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri 'mongodb://localhost');
CREATE USER MAPPING FOR CURRENT_USER SERVER opt OPTIONS (username 'u', password_required 'false');
CREATE USER MAPPING FOR CURRENT_USER SERVER opt OPTIONS (tls_certificate_key_file '/etc/passwd');
CREATE USER MAPPING FOR CURRENT_USER SERVER opt OPTIONS (username 'u', password_required 'true');
RESET ROLE;
ALTER USER MAPPING FOR regress_mm_opt SERVER opt OPTIONS (SET password_required 'false');
SET ROLE regress_mm_opt;
ALTER USER MAPPING FOR regress_mm_opt SERVER opt OPTIONS (SET username 'other');
ALTER USER MAPPING FOR regress_mm_opt SERVER opt OPTIONS (DROP password_required);
RESET ROLE;
GRANT pg_read_server_files TO regress_mm_opt;
SET ROLE regress_mm_opt;
ALTER SERVER opt OPTIONS (ADD tls_ca_file '/etc/passwd');
RESET ROLE;
DROP OWNED BY regress_mm_opt CASCADE;
DROP ROLE regress_mm_opt;
