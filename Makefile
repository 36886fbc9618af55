# Build, install and test by PGXS:  make && make install && MONGO_URI=mongodb://... make installcheck
# (installcheck needs a running PostgreSQL, where it is superuser, and a mongod; ./dev test brings both).

EXTENSION = mongo_migrate
MODULE_big = mongo_migrate

# Where the sources are, with PGXS's srcdir not known yet.
top := $(or $(VPATH),$(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST)))))

# META.json is the one source of the version.
EXTVERSION := $(shell sed -n 's/^  "version": "\([^"]*\)",*$$/\1/p' $(top)/META.json)

OBJS = $(patsubst $(top)/%.c,%.o,$(sort $(wildcard $(top)/src/*.c $(top)/src/*/*.c)))

# A build out of tree has no folders yet.
$(shell mkdir -p $(sort $(dir $(OBJS))))

# ./dev fuzz only
ifdef FUZZ
OBJS += test/fuzz/fuzz.o
endif

# The extension script is the modules' SQL, lower modules first.
SQL_PARTS = \
	src/catalog.sql \
	src/bson/objectid.sql \
	src/bson/bson.sql \
	src/mongo/mongo.sql \
	src/worker_pool.sql \
	src/fdw/fdw.sql \
	src/plan/infer.sql \
	src/plan/names.sql \
	src/plan/read.sql \
	src/plan/rows.sql \
	src/plan/fields.sql \
	src/plan/distribute.sql \
	src/plan/plan.sql \
	src/plan/table.sql \
	src/plan/index.sql \
	src/plan/validator.sql \
	src/plan/enumeration.sql \
	src/plan/check_references.sql \
	src/plan/check_column.sql \
	src/plan/check_plan.sql \
	src/plan/preflight.sql \
	src/plan/ddl.sql \
	src/plan/replan.sql \
	src/load/idmap.sql \
	src/load/sequences.sql \
	src/load/load.sql \
	src/verify/value.sql \
	src/verify/type.sql \
	src/verify/column.sql \
	src/verify/plan.sql \
	src/verify/shape.sql \
	src/verify/counts.sql \
	src/verify/rows.sql \
	src/verify/sums.sql \
	src/verify/verify.sql \
	src/verify/workers.sql \
	src/verify/document.sql \
	src/verify/schedule.sql \
	src/migrate/lock.sql \
	src/migrate/apply_ddl.sql \
	src/migrate/chunk.sql \
	src/migrate/progress.sql \
	src/migrate/run.sql \
	src/migrate/copy.sql \
	src/migrate/references.sql \
	src/migrate/keys.sql \
	src/migrate/finish.sql \
	src/migrate/migrate.sql \
	src/migrate/rehearse.sql \
	src/migrate/repair.sql \
	src/migrate/quarantine.sql \
	src/sync/rebuild.sql \
	src/sync/sync.sql \
	src/sync/write_back.sql \
	src/sync/cutover.sql \
	src/sync/rename.sql \
	src/settings.sql \
	src/grants.sql
DATA_built = $(EXTENSION)--$(EXTVERSION).sql

REGRESS = $(shell sed -n 's/^test: *//p' $(top)/sql/schedule 2>/dev/null)
REGRESS_OPTS = --load-extension=$(EXTENSION)
REGRESS_PREP = mongo-uri
EXTRA_CLEAN = $(EXTENSION)--$(EXTVERSION).sql results regression.diffs regression.out

MONGOC_PC := $(shell pkg-config --exists mongoc2 && echo mongoc2 || echo libmongoc-1.0)
PG_CPPFLAGS = -I$(top)/src $(shell pkg-config --cflags $(MONGOC_PC))
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -Wno-declaration-after-statement $(WERROR)
SHLIB_LINK = $(shell pkg-config --libs $(MONGOC_PC)) -Wl,--version-script=$(top)/src/exports.map

# No bitcode: a compiled query would inline functions without what they call, which exports.map hides, and end with a
# FATAL "could not be resolved".
override with_llvm = no

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq ($(PGXS),)
$(error no pg_config: make PG_CONFIG=/usr/lib/postgresql/NN/bin/pg_config)
endif
include $(PGXS)

$(EXTENSION)--$(EXTVERSION).sql: $(SQL_PARTS) META.json Makefile
	{ printf '%s\n' '\echo Use "CREATE EXTENSION $(EXTENSION)" to load this file. \quit'; cat $(filter %.sql,$^); } > $@

.PHONY: mongo-uri
mongo-uri:
	@test -n "$$MONGO_URI" || { echo 'installcheck needs MONGO_URI, of a MongoDB where it may make databases mm_test_*' >&2; exit 1; }

# Headers are few and small: every object depends on all of them.
$(OBJS): $(wildcard $(top)/src/*.h $(top)/src/*/*.h)
$(shlib): src/exports.map
