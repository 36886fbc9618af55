# Build, install and test by PGXS:  make && make install && make installcheck
# (installcheck needs a running PostgreSQL, and MONGO_URI naming a mongod; ./dev test brings both).

EXTENSION = mongo_migrate
MODULE_big = mongo_migrate

# META.json is the one source of the version.
EXTVERSION := $(shell sed -n 's/^  "version": "\([^"]*\)",*$$/\1/p' META.json)

OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))

# ./dev fuzz only
ifdef FUZZ
OBJS += test/fuzz/fuzz.o
endif

# The extension script is the modules' SQL, lower modules first.
SQL_PARTS = \
	src/bson/objectid.sql \
	src/bson/bson.sql \
	src/mongo/mongo.sql \
	src/fdw/fdw.sql \
	src/migrate/catalog.sql \
	src/migrate/infer.sql \
	src/migrate/plan_names.sql \
	src/migrate/plan_rows.sql \
	src/migrate/plan_fields.sql \
	src/migrate/distribute.sql \
	src/migrate/plan.sql \
	src/migrate/plan_table.sql \
	src/migrate/plan_index.sql \
	src/migrate/plan_validator.sql \
	src/migrate/plan_enumeration.sql \
	src/migrate/check_references.sql \
	src/migrate/check_column.sql \
	src/migrate/check_plan.sql \
	src/migrate/preflight.sql \
	src/migrate/ddl.sql \
	src/migrate/replan.sql \
	src/load/idmap.sql \
	src/load/load.sql \
	src/worker_pool.sql \
	src/migrate/chunk.sql \
	src/migrate/progress.sql \
	src/migrate/run.sql \
	src/migrate/copy.sql \
	src/migrate/references.sql \
	src/migrate/keys.sql \
	src/migrate/finish.sql \
	src/migrate/migrate.sql \
	src/migrate/rehearse.sql \
	src/migrate/verify_value.sql \
	src/migrate/verify_type.sql \
	src/migrate/verify_plan.sql \
	src/migrate/verify_shape.sql \
	src/migrate/verify_counts.sql \
	src/migrate/verify_rows.sql \
	src/migrate/verify_sums.sql \
	src/migrate/verify.sql \
	src/migrate/verify_workers.sql \
	src/migrate/verify_document.sql \
	src/migrate/verify_schedule.sql \
	src/migrate/repair.sql \
	src/sync/rebuild.sql \
	src/sync/sync.sql \
	src/sync/write_back.sql \
	src/sync/cutover.sql \
	src/migrate/settings.sql \
	src/migrate/grants.sql
DATA_built = $(EXTENSION)--$(EXTVERSION).sql

REGRESS = $(shell sed -n 's/^test: *//p' sql/schedule 2>/dev/null)
REGRESS_OPTS = --inputdir=. --load-extension=$(EXTENSION)
EXTRA_CLEAN = $(EXTENSION)--$(EXTVERSION).sql results regression.diffs regression.out

MONGOC_PC := $(shell pkg-config --exists mongoc2 && echo mongoc2 || echo libmongoc-1.0)
PG_CPPFLAGS = -I$(srcdir)/src $(shell pkg-config --cflags $(MONGOC_PC))
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -Wno-declaration-after-statement $(WERROR)
SHLIB_LINK = $(shell pkg-config --libs $(MONGOC_PC)) -Wl,--version-script=src/exports.map

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(EXTENSION)--$(EXTVERSION).sql: $(SQL_PARTS) META.json Makefile
	{ printf '%s\n' '\echo Use "CREATE EXTENSION $(EXTENSION)" to load this file. \quit'; cat $(SQL_PARTS); } > $@

# Headers are few and small: every object depends on all of them.
$(OBJS): $(wildcard src/*.h src/*/*.h)
$(OBJS:.o=.bc): $(wildcard src/*.h src/*/*.h)
$(shlib): src/exports.map
