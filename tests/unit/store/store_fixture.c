/*
 * A store in a scratch folder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store_fixture.h"

#include <stdio.h>
#include <string.h>

#define FIXTURE_MAP_SIZE ((size_t)64 << 20U)
#define FIXTURE_OUTBOX_MAX 100000

void fixture_open(struct fixture *fixture)
{
    *fixture = (struct fixture){.at_ms = 1000};
    scratch_make(fixture->directory);
    fixture->options = (struct store_options){
        .directory = fixture->directory,
        .map_size_max = FIXTURE_MAP_SIZE,
        .outbox_max = FIXTURE_OUTBOX_MAX,
    };
    CHECK_OK(store_open(&fixture->options, &fixture->store));
}

void fixture_reopen(struct fixture *fixture)
{
    store_close(fixture->store);
    fixture->store = NULL;
    CHECK_OK(store_open(&fixture->options, &fixture->store));
}

void fixture_close(struct fixture *fixture)
{
    store_close(fixture->store);
    arena_release(&fixture->arena);
    scratch_remove(fixture->directory);
}

struct slice fixture_encode(struct fixture *fixture, struct command command)
{
    struct buffer bytes = {0};
    if (command.stamp.at_ms == 0) {
        command.stamp.at_ms = fixture->at_ms++;
    }
    if (command.stamp.actor.size == 0) {
        command.stamp.actor = slice_of("uid 0");
        command.stamp.origin = slice_of("local");
    }
    CHECK_OK(command_encode(&command, &bytes));
    struct slice copy = arena_copy(&fixture->arena, buffer_slice(&bytes));
    buffer_release(&bytes);
    return copy;
}

struct status fixture_try(struct fixture *fixture, struct command command)
{
    struct slice bytes = fixture_encode(fixture, command);
    return store_apply(fixture->store, store_applied_index(fixture->store) + 1, &bytes, 1,
                       &fixture->outcome);
}

void check_balance(struct fixture *fixture)
{
    struct arena arena = {0};
    struct export_view export;
    CHECK_OK(store_export(fixture->store, &arena, &export));
    arena_release(&arena);
    CHECK_U64(export.produced,
              export.delivered + export.pending + export.dead_lettered + export.discarded);
}

enum refusal fixture_apply(struct fixture *fixture, struct command command)
{
    CHECK_OK(fixture_try(fixture, command));
    check_balance(fixture);
    arena_release(&fixture->arena);
    return (enum refusal)fixture->outcome.refusal;
}

struct command cluster_init_command(void)
{
    return (struct command){
        .type = COMMAND_CLUSTER_INIT,
        .body.cluster_init =
            {
                .cluster_id = slice_of(CLUSTER_ID),
                .ca_certificate = slice_of("ca"),
                .sealed_ca_key = slice_of("sealed ca key"),
                .key_epoch = 1,
                .member = {.node_id = NODE_A, .name = slice_of("A"), .serial = slice_of("SA")},
            },
    };
}

struct command cluster_form_command(void)
{
    return (struct command){
        .type = COMMAND_CLUSTER_FORM,
        .body.cluster_form.name = slice_of("mail"),
    };
}

struct command token_command(const char *id)
{
    static const char hash[STORE_HASH_SIZE] = "hash";
    return (struct command){
        .type = COMMAND_JOIN_TOKEN_CREATE,
        .body.join_token_create =
            {
                .token_id = slice_of(id),
                .secret_hash = {.data = hash, .size = sizeof hash},
                .expires_at_ms = 1000000,
            },
    };
}

struct command admit_command(const char *token_id, uint64_t node_id, const char *name)
{
    return (struct command){
        .type = COMMAND_MEMBER_ADMIT,
        .body.member_admit =
            {
                .token_id = slice_of(token_id),
                .member = {.node_id = node_id, .name = slice_of(name), .serial = slice_of(name)},
                .registration_state = REGISTRATION_DISABLED,
                .statement = slice_of("signed"),
                .cloud_check = CLOUD_CHECK_UNREGISTERED,
            },
    };
}

struct command enable_command(void)
{
    return (struct command){
        .type = COMMAND_REGISTRATION_ENABLE,
        .body.registration_enable.region = slice_of("EUROPE"),
    };
}

struct command begin_command(uint64_t node_id, const char *serial, uint64_t epoch)
{
    return (struct command){
        .type = COMMAND_REGISTRATION_BEGIN,
        .body.registration_begin =
            {
                .mode = slice_of("machine"),
                .node_id = node_id,
                .serial = slice_of(serial),
                .sealed_token = slice_of("sealed token"),
                .sealed_key = slice_of("sealed key"),
                .csr = slice_of("csr"),
                .epoch = epoch,
                .key_epoch = 1,
            },
    };
}

struct command complete_command(uint64_t epoch)
{
    return (struct command){
        .type = COMMAND_REGISTRATION_COMPLETE,
        .body.registration_complete =
            {
                .epoch = epoch,
                .device_id = slice_of("device-1"),
                .tenant = slice_of("tenant"),
                .certificate = slice_of("certificate"),
                .not_after_ms = 5000,
            },
    };
}

struct command deregister_begin_command(uint64_t epoch)
{
    return (struct command){
        .type = COMMAND_DEREGISTRATION_BEGIN,
        .body.deregistration_begin.epoch = epoch,
    };
}

struct command credential_command(const char *name, uint64_t generation)
{
    return (struct command){
        .type = COMMAND_CREDENTIAL_PUT,
        .body.credential_put =
            {
                .name = slice_of(name),
                .client_id = slice_of("client-1"),
                .sealed_password = slice_of("sealed password"),
                .region = slice_of("EUROPE"),
                .generation = generation,
                .key_epoch = 1,
            },
    };
}

struct command record_command(uint64_t number)
{
    static char id[32];
    static char body[32];
    static char domain[32];
    static struct index_key keys[2];
    static struct record_put record;
    (void)snprintf(id, sizeof id, "%llu", (unsigned long long)number);
    (void)snprintf(body, sizeof body, "body of %llu", (unsigned long long)number);
    (void)snprintf(domain, sizeof domain, "d%llu.example", (unsigned long long)number % 10);
    keys[0] = (struct index_key){.kind = 7, .value = slice_of(id)};
    keys[1] = (struct index_key){.kind = 2, .value = slice_of(domain)};
    record = (struct record_put){
        .kind = 1,
        .serial = slice_of("SA"),
        .id = slice_of(id),
        .revision = 1,
        .observed_at_ms = 10 * number,
        .body = slice_of(body),
        .keys = {.items = keys, .count = 2},
    };
    return (struct command){
        .type = COMMAND_RECORDS_PUT,
        .body.records_put = {.feed = slice_of("mail_logs SA"),
                             .records = {.items = &record, .count = 1}},
    };
}

struct command advance_command(uint64_t from, uint64_t to)
{
    return (struct command){
        .type = COMMAND_EXPORT_ADVANCE,
        .body.export_advance = {.from = from, .to = to},
    };
}

void fixture_form(struct fixture *fixture)
{
    static const char *const tokens[] = {"00000000000000b0", "00000000000000c0"};
    CHECK_U64(fixture_apply(fixture, cluster_init_command()), REFUSAL_NONE);
    CHECK_U64(fixture_apply(fixture, cluster_form_command()), REFUSAL_NONE);
    for (size_t i = 0; i < 2; i++) {
        uint64_t node_id = i == 0 ? NODE_B : NODE_C;
        struct command seat = {
            .type = COMMAND_MEMBER_SET,
            .body.member_set = {.node_id = node_id, .standing = STANDING_MEMBER},
        };
        CHECK_U64(fixture_apply(fixture, token_command(tokens[i])), REFUSAL_NONE);
        CHECK_U64(fixture_apply(fixture, admit_command(tokens[i], node_id, i == 0 ? "B" : "C")),
                  REFUSAL_NONE);
        CHECK_U64(fixture_apply(fixture, seat), REFUSAL_NONE);
    }
}

void fixture_register(struct fixture *fixture)
{
    CHECK_U64(fixture_apply(fixture, enable_command()), REFUSAL_NONE);
    CHECK_U64(fixture_apply(fixture, begin_command(NODE_A, "SA", 1)), REFUSAL_NONE);
    CHECK_U64(fixture_apply(fixture, complete_command(1)), REFUSAL_NONE);
}
