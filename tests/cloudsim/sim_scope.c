/*
 * Scopes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim_scope.h"

#include <string.h>

struct scope {
    struct slice path;
    struct slice access; /* Empty: both. */
};

static struct scope split(struct slice text)
{
    const char *colon = text.size == 0 ? NULL : memchr(text.data, ':', text.size);
    if (colon == NULL) {
        return (struct scope){.path = text};
    }
    size_t size = (size_t)(colon - (const char *)text.data);
    return (struct scope){
        .path = {.data = text.data, .size = size},
        .access = {.data = colon + 1, .size = text.size - size - 1},
    };
}

bool sim_scope_covers(struct slice held_text, struct slice needed_text)
{
    struct scope held = split(held_text);
    struct scope needed = split(needed_text);
    if (held.path.size == 0 || held.path.size > needed.path.size ||
        memcmp(held.path.data, needed.path.data, held.path.size) != 0) {
        return false;
    }
    if (held.path.size < needed.path.size &&
        ((const char *)needed.path.data)[held.path.size] != '/') {
        return false;
    }
    return held.access.size == 0 || slice_equal(held.access, needed.access);
}

bool sim_scope_allows(const char *list, const char *needed)
{
    while (*list != '\0') {
        size_t size = strcspn(list, " ");
        if (sim_scope_covers((struct slice){.data = list, .size = size}, slice_of(needed))) {
            return true;
        }
        list += size + strspn(list + size, " ");
    }
    return false;
}
