/*
 * The algebra of scopes, and the needs of each feature.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "scopes.h"

#include <string.h>

#define FEATURE_NEEDS_MAX 4

/* R12; the export's from ctia src/ctia/bundle/routes.clj: import and create of every entity, which
 * only the whole of private-intel, writable, gives. */
struct feature_row {
    const char *name;
    const char *needs[FEATURE_NEEDS_MAX];
};

static const struct feature_row rows[FEATURE_COUNT] = {
    [FEATURE_CASEBOOK] = {"casebook", {"casebook", "private-intel", "inspect:read"}},
    [FEATURE_PIVOT_MENU] = {"pivot_menu", {"enrich:read", "response"}},
    [FEATURE_EXPORT] = {"export", {"private-intel:write"}},
};

struct scope {
    struct slice path;
    bool read;
    bool write;
};

static struct scope scope_of(struct slice text)
{
    const char *bytes = text.data;
    size_t size = text.size;

    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == ':') {
            struct slice right = {bytes + i + 1, size - i - 1};
            return (struct scope){
                .path = {bytes, i},
                .read = slice_equal(right, slice_of("read")),
                .write = slice_equal(right, slice_of("write")),
            };
        }
    }
    return (struct scope){.path = text, .read = true, .write = true};
}

static bool path_covers(struct slice granted, struct slice wanted)
{
    const char *bytes = wanted.data;

    if (granted.size == 0 || granted.size > wanted.size ||
        memcmp(granted.data, bytes, granted.size) != 0) {
        return false;
    }
    return granted.size == wanted.size || bytes[granted.size] == '/';
}

bool scopes_cover(struct slice granted, struct slice wanted)
{
    const char *bytes = granted.data;
    struct scope want = scope_of(wanted);
    bool read = false;
    bool write = false;
    size_t start = 0;

    for (size_t i = 0; granted.size > 0 && i <= granted.size; i++) {
        if (i < granted.size && bytes[i] != ' ') {
            continue;
        }
        struct scope have = scope_of((struct slice){bytes + start, i - start});
        if (i > start && path_covers(have.path, want.path)) {
            read = read || have.read;
            write = write || have.write;
        }
        start = i + 1;
    }
    return (read || !want.read) && (write || !want.write) && (want.read || want.write);
}

const char *feature_name(enum feature feature)
{
    return rows[feature].name;
}

bool feature_available(enum feature feature, struct slice granted,
                       char missing[FEATURE_MISSING_SIZE])
{
    size_t used = 0;

    missing[0] = '\0';
    for (size_t i = 0; i < FEATURE_NEEDS_MAX && rows[feature].needs[i] != NULL; i++) {
        const char *need = rows[feature].needs[i];
        size_t size = strlen(need);
        if (scopes_cover(granted, slice_of(need)) || used + size + 2 > FEATURE_MISSING_SIZE) {
            continue;
        }
        if (used > 0) {
            missing[used++] = ' ';
        }
        memcpy(missing + used, need, size + 1);
        used += size;
    }
    return used == 0;
}
