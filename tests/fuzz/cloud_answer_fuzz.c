/*
 * Fuzzing what the cloud answers: the token endpoint, the device service, the import and the checks of
 * `muster doctor`, with JSON of the keys that are looked for, or with anything; and the header lines that
 * say when to come back.
 *
 * What an answer is taken for can be written down: the command that carries it encodes. A token can stand
 * in a header line. What is said of an answer is one line of text.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "base/x509.h"
#include "ctia.h"
#include "exchange.h"
#include "exchange_error.h"
#include "fuzz_json.h"
#include "json_read.h"
#include "oauth_grant.h"
#include "scopes.h"
#include "store/command.h"

#define KIND_COUNT 4U

static const struct slice *certificate(void)
{
    static struct buffer pem;
    static struct slice text;
    struct secret key = {0};
    const struct x509_subject subject = {.common_name = slice_of("device"),
                                         .serial = slice_of("A"),
                                         .not_after_ms = UINT64_C(1900000000000)};
    if (text.size == 0) {
        fuzz_ok(x509_make_key(&key));
        fuzz_ok(x509_make_ca(secret_slice(&key), &subject, &pem));
        secret_release(&key);
        text = buffer_slice(&pem);
    }
    return &text;
}

static void check_words(const char *words, size_t size_max)
{
    size_t size = strnlen(words, size_max);
    fuzz_must(size < size_max && slice_is_text((struct slice){.data = words, .size = size}),
              "what is said is text that ends");
}

static void check_command(const struct command *command)
{
    struct buffer out = {0};
    fuzz_ok(command_encode(command, &out));
    buffer_release(&out);
}

/* ---- The token endpoint ---- */

static void check_token(struct slice token)
{
    const unsigned char *bytes = token.data;
    fuzz_must(token.size > 0 && token.size <= OAUTH_TOKEN_SIZE_MAX, "a token has some bytes");
    for (size_t i = 0; i < token.size; i++) {
        fuzz_must(bytes[i] > ' ' && bytes[i] < 0x7F, "a token can stand in a header line");
    }
}

static void check_scopes(struct slice scopes)
{
    char missing[FEATURE_MISSING_SIZE];
    const struct command verified = {
        .type = COMMAND_CREDENTIAL_VERIFIED,
        .body.credential_verified = {.name = slice_of("a"), .valid = true, .scopes = scopes}};
    check_command(&verified);
    for (int i = 0; i < FEATURE_COUNT; i++) {
        bool available = feature_available((enum feature)i, scopes, missing);
        fuzz_must(available == (missing[0] == '\0'), "what is missing is named");
        fuzz_must(strnlen(missing, sizeof missing) < sizeof missing, "it fits");
    }
    fuzz_must(!scopes_cover(scopes, (struct slice){0}) || scopes.size > 0,
              "nothing covers nothing");
}

static void try_oauth(const struct http_response *response, const json_t *value)
{
    struct oauth_answer answer;
    oauth_answer_read(response, response->code == 200 ? value : NULL, REGION_EUROPE, &answer);
    if (answer.result == OAUTH_GRANTED) {
        check_token(answer.token);
        check_scopes(answer.scopes);
        fuzz_must(answer.lifetime_s >= 1 && answer.lifetime_s <= OAUTH_LIFETIME_S_MAX,
                  "a token lives, and not for ever");
    } else {
        check_words(answer.reason, sizeof answer.reason);
        fuzz_must(answer.reason[0] != '\0', "a refusal has its reason");
    }
}

/* ---- The device service ---- */

static void check_registered(const struct exchange_answer *answer)
{
    const struct command complete = {
        .type = COMMAND_REGISTRATION_COMPLETE,
        .body.registration_complete = {.epoch = 1,
                                       .device_id = answer->device_id,
                                       .tenant = answer->tenant,
                                       .certificate = answer->certificate,
                                       .not_after_ms = answer->not_after_ms}};
    fuzz_must(answer->device_id.size > 0 && answer->certificate.size > 0,
              "a device that is registered has an id and a certificate");
    check_command(&complete);
}

static void try_exchange(struct fuzz_input *input, const struct http_response *response,
                         const json_t *value)
{
    enum exchange_kind kind = (enum exchange_kind)(fuzz_u8(input) % (EXCHANGE_LIST + 1U));
    struct exchange_answer answer;
    exchange_answer_read(kind, response, value, &answer);
    check_words(answer.code, sizeof answer.code);
    check_words(answer.reason, sizeof answer.reason);
    if (answer.result == EXCHANGE_REGISTERED) {
        check_registered(&answer);
    }
    fuzz_must(answer.result != EXCHANGE_REFUSED || answer.reason[0] != '\0',
              "a refusal has its reason");
    const struct command note = {
        .type = COMMAND_REGISTRATION_NOTE,
        .body.registration_note = {.epoch = 1,
                                   .registration_id = answer.result == EXCHANGE_IN_PROGRESS
                                                          ? answer.registration_id
                                                          : (struct slice){0},
                                   .attempt = 1,
                                   .error = slice_of(answer.reason),
                                   .code = slice_of(answer.code)}};
    check_command(&note);
}

/* ---- The import, and words ---- */

static void try_ctia(const struct http_response *response)
{
    struct ctia_answer answer;
    ctia_answer_read(response, "https://a.example/import", &answer);
    if (answer.result != CTIA_TAKEN) {
        check_words(answer.reason, sizeof answer.reason);
        fuzz_must(answer.reason[0] != '\0' && answer.body.size == 0, "a refusal has its reason");
    }
}

static void try_words(struct slice body, const json_t *value)
{
    char words[JSON_ERROR_SIZE];
    json_error_text(body, words);
    check_words(words, sizeof words);
    json_quote(body, words);
    check_words(words, sizeof words);
    for (const char *at = words; *at != '\0'; at++) {
        fuzz_must((unsigned char)*at >= ' ' && *at != 0x7F, "a quotation is one line");
    }
    (void)json_number(value, "expires_in", 1);
    (void)exchange_error_text(body);
}

static void try_headers(struct slice value)
{
    const uint64_t now_ms = UINT64_C(1767323045000);
    unsigned after_s = http_retry_after(value, now_ms);
    fuzz_must(after_s <= HTTP_RETRY_AFTER_S_MAX, "one does not wait for ever");
    fuzz_must(after_s == http_retry_after(value, now_ms), "a header means one thing");
}

static void try_answer(struct fuzz_input *input, const struct http_response *response)
{
    unsigned kind = fuzz_u8(input) % KIND_COUNT;
    json_t *value = json_read(response->body);
    switch (kind) {
    case 0: try_oauth(response, value); break;
    case 1: try_exchange(input, response, value); break;
    case 2: try_ctia(response); break;
    default: try_words(response->body, value); break;
    }
    json_decref(value);
}

/* An answer that grants everything, but for what the input puts in its place. */
static json_t *some_success(struct fuzz_input *input, const struct fuzz_texts *texts)
{
    static const char *const keys[] = {"access_token", "scope",  "expires_in",  "registration_id",
                                       "status",       "tenant", "certificate", "device_id"};
    json_t *value =
        json_pack("{s:s, s:s, s:i, s:s, s:s, s:{s:s}, s:s%, s:s}", "access_token", "abc.def",
                  "scope", "private-intel casebook", "expires_in", 600, "registration_id", "reg-1",
                  "status", "registered", "tenant", "id", "tenant-1", "certificate",
                  texts->items[0].data, texts->items[0].size, "device_id", "device-1");
    fuzz_must(value != NULL, "an answer is made");
    for (unsigned i = fuzz_u8(input) % 3U; i > 0; i--) {
        const char *key = keys[fuzz_u8(input) % (sizeof keys / sizeof keys[0])];
        json_t *put = fuzz_json(input, texts, 2);
        put =
            strcmp(key, "tenant") == 0 && json_is_string(put) ? json_pack("{s:o}", "id", put) : put;
        (void)json_object_set_new(value, key, put);
    }
    return value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned codes[] = {200, 201, 202, 204, 400, 401, 403, 404, 408,
                                     410, 413, 422, 425, 429, 500, 502, 503, 302};
    struct fuzz_input input = {.at = data, .left = size};
    const struct fuzz_texts texts = {.items = certificate(), .count = 1};
    struct http_response response = {.quota_limit = UINT64_MAX, .quota_remaining = UINT64_MAX};
    unsigned how = fuzz_u8(&input);
    response.code = codes[fuzz_u8(&input) % (sizeof codes / sizeof codes[0])];
    struct fuzz_input answered = input; /* What is asked stands before the answer. */
    (void)fuzz_u16(&input);
    if (how < 16) {
        try_headers(fuzz_rest(&input));
    } else if (how < 96) {
        response.body = fuzz_rest(&input);
        try_answer(&answered, &response);
    } else {
        json_t *value = how < 192 ? fuzz_json(&input, &texts, 4) : some_success(&input, &texts);
        char *text = fuzz_json_text(value);
        response.body = slice_of(text);
        try_answer(&answered, &response);
        free(text);
        json_decref(value);
    }
    return 0;
}
