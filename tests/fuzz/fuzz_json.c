/*
 * JSON of the cloud.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz_json.h"

#define MEMBERS_MAX 6U
#define TEXT_SIZE_MAX 300

static const char *const keys[] = {
    "access_token", "scope",        "expires_in",  "error",   "error_description", "message",
    "msg",          "type",         "errors",      "code",    "device_id",         "tenant",
    "id",           "status",       "certificate", "devices", "registration_id",   "results",
    "result",       "external_ids", "entity",
};

static const char *const words[] = {
    "",
    "in_progress",
    "registered",
    "failed",
    "created",
    "exists",
    "error",
    "device-1",
    "reg_1",
    "invalid_client",
    "token_used",
    "device_gone",
    "wrong_client_creds",
    "private-intel casebook inspect:read",
    "enrich:read response",
    "abc.def-ghi",
    "\xE2\x82\xAC\xC3\xA9",
    "line\r\nX-Evil: 1",
    "certificate_expired",
    "device_registered",
};

static json_t *some_text(struct fuzz_input *input, const struct fuzz_texts *texts)
{
    size_t count = sizeof words / sizeof words[0];
    size_t choice = fuzz_u8(input);
    if (choice < count) {
        return json_string(words[choice]);
    }
    struct slice text = choice - count < texts->count ? texts->items[choice - count]
                                                      : fuzz_bytes(input, TEXT_SIZE_MAX);
    json_t *value = NULL;
    if (choice >= 224) { /* Long ones. */
        char repeated[6000];
        size_t size = (size_t)fuzz_u16(input) % sizeof repeated;
        for (size_t i = 0; i < size; i++) {
            repeated[i] = text.size == 0 ? 'x' : ((const char *)text.data)[i % text.size];
        }
        value = json_stringn(repeated, size);
    } else {
        value = json_stringn(text.data, text.size);
    }
    return value == NULL ? json_string("") : value; /* What was made up is not UTF-8. */
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as `depth`. */
json_t *fuzz_json(struct fuzz_input *input, const struct fuzz_texts *texts, unsigned depth)
{
    unsigned kind = fuzz_u8(input) % 8U;
    unsigned count = depth == 0 ? 0 : fuzz_u8(input) % (MEMBERS_MAX + 1U);
    json_t *value = NULL;
    switch (depth == 0 && kind < 4 ? 4 : kind) {
    case 0:
    case 1:
    case 2:
        value = json_object();
        for (unsigned i = 0; i < count; i++) {
            const char *key = keys[fuzz_u8(input) % (sizeof keys / sizeof keys[0])];
            (void)json_object_set_new(value, key, fuzz_json(input, texts, depth - 1));
        }
        return value;
    case 3:
        value = json_array();
        for (unsigned i = 0; i < count; i++) {
            (void)json_array_append_new(value, fuzz_json(input, texts, depth - 1));
        }
        return value;
    case 4:
    case 5: return some_text(input, texts);
    case 6: return json_integer((json_int_t)fuzz_u64(input));
    default: return fuzz_u8(input) % 2U == 0 ? json_null() : json_true();
    }
}

char *fuzz_json_text(const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    fuzz_must(text != NULL, "JSON can be written");
    return text;
}
