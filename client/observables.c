/*
 * The collector of observables.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "observables.h"

#include <assert.h>
#include <string.h>

static const char *type_name(enum record_key_kind kind, struct slice value)
{
    if (kind == RECORD_KEY_IP && memchr(value.data, ':', value.size) != NULL) {
        return "ipv6";
    }
    return record_key_kind_name(kind);
}

static bool is_listed(const struct observables *list, struct slice type, struct slice value)
{
    for (size_t i = 0; i < list->count; i++) {
        if (slice_equal(list->items[i].type, type) && slice_equal(list->items[i].value, value)) {
            return true;
        }
    }
    return false;
}

void observables_add(struct observables *list, enum record_key_kind kind, struct slice text)
{
    assert(kind <= RECORD_KEY_SHA256);
    char room[RECORD_KEY_SIZE_MAX + 1];
    struct slice value;
    if (!record_key_normalise(kind, text, room, &value)) {
        return;
    }
    struct slice type = slice_of(type_name(kind, value));
    if (is_listed(list, type, value)) {
        return;
    }
    if (list->count == RECORD_OBSERVABLES_MAX || value.size > OBSERVABLES_SIZE_MAX - list->size) {
        list->cut = true;
        return;
    }
    struct slice kept = arena_copy(list->arena, value);
    if (kept.data == NULL) {
        list->no_memory = true;
        return;
    }
    list->items[list->count] = (struct record_observable){
        .type = type,
        .value = kept,
        .internal = kind == RECORD_KEY_IP && record_ip_is_internal(kept),
    };
    list->count++;
    list->size += kept.size;
}

void observables_add_url(struct observables *list, struct slice url)
{
    char room[RECORD_KEY_SIZE_MAX + 1];
    struct slice value;
    if (!record_key_normalise(RECORD_KEY_URL, url, room, &value)) {
        return;
    }
    struct slice host = record_url_host(value);
    observables_add(list, RECORD_KEY_URL, value);
    observables_add(list, RECORD_KEY_IP, host);
    observables_add(list, RECORD_KEY_DOMAIN, host);
}

void observables_add_sender(struct observables *list, struct slice address)
{
    const char *at = address.size == 0 ? NULL : memrchr(address.data, '@', address.size);
    if (at == NULL) {
        return;
    }
    const char *domain = at + 1;
    size_t size = address.size - (size_t)(domain - (const char *)address.data);
    struct slice rest = {.data = domain, .size = size};
    observables_add(list, RECORD_KEY_DOMAIN, rest);
    observables_add(list, RECORD_KEY_IP, rest); /* "ann@[192.0.2.1]". */
}
