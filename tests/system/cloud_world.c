/*
 * One node's cloud half, with a simulated cloud beside it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cloud_world.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/random.h"
#include "base/x509.h"
#include "client/record.h"
#include "store/seal.h"

#define CLUSTER_ID "0123456789abcdef0123456789abcdef"
#define MAP_SIZE_MAX ((size_t)1 << 30)
#define RECORDS_PER_COMMAND 500
#define RECORD_BODY_SIZE 4096
#define FIRST_MS UINT64_C(1767323045000)

struct world_proposal {
    struct world_proposal *next;
    struct buffer command;
    cloud_proposed done;
    void *argument;
};

/* ---- The store, as a cluster of one would move it ---- */

static struct apply_outcome apply_bytes(struct world *world, struct slice bytes)
{
    struct apply_outcome outcome = {0};

    world->index++;
    CHECK_OK(store_apply(world->store, world->index, &bytes, 1, &outcome));
    return outcome;
}

enum refusal world_apply(struct world *world, struct command command)
{
    struct buffer bytes = {0};

    command.stamp = (struct stamp){
        .at_ms = clock_now_ms(), .actor = slice_of("test"), .origin = slice_of("local")};
    CHECK_OK(command_encode(&command, &bytes));
    struct apply_outcome outcome = apply_bytes(world, buffer_slice(&bytes));
    buffer_release(&bytes);
    if (world->cloud != NULL) {
        cloud_on_applied(world->cloud);
    }
    return (enum refusal)outcome.refusal;
}

static void on_apply(uv_timer_t *timer)
{
    struct world *world = timer->data;
    bool flush_now = world->flushes && world->proposals != NULL;

    while (world->proposals != NULL) {
        struct world_proposal *proposal = world->proposals;
        world->proposals = proposal->next;
        struct apply_outcome outcome = apply_bytes(world, buffer_slice(&proposal->command));
        if (flush_now) {
            CHECK_OK(store_flush(world->store));
        }
        buffer_release(&proposal->command);
        proposal->done(proposal->argument, OK, outcome);
        free(proposal);
    }
    if (world->cloud != NULL) {
        cloud_on_applied(world->cloud);
    }
}

static struct status propose(void *context, const struct command *command, cloud_proposed done,
                             void *argument)
{
    struct world *world = context;

    if (world->proposals_fail) {
        return fail(STATUS_NO_QUORUM, "no quorum");
    }
    struct world_proposal *proposal = calloc(1, sizeof *proposal);
    assert_non_null(proposal);
    struct status status = command_encode(command, &proposal->command);
    if (failed(status)) {
        free(proposal);
        return status;
    }
    proposal->done = done;
    proposal->argument = argument;
    struct world_proposal **end = &world->proposals;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = proposal;
    (void)uv_timer_start(&world->applier, on_apply, 0, 0);
    return OK;
}

static struct status flush(void *context)
{
    struct world *world = context;
    return store_flush(world->store);
}

static uint64_t now_ms(void *context)
{
    (void)context;
    return clock_now_ms();
}

static const struct cloud_ops world_ops = {.propose = propose, .flush = flush, .now_ms = now_ms};

/* ---- The simulated cloud ---- */

static void start_simulator(struct world *world)
{
    char path[SCRATCH_PATH_SIZE + 32];
    struct timespec moment = {.tv_nsec = 10000000};

    world->sim = fork();
    if (world->sim == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(null, STDOUT_FILENO);
        (void)execl(SIM_PATH, SIM_PATH, "--directory", world->directory, (char *)NULL);
        _exit(127);
    }
    (void)snprintf(path, sizeof path, "%s/endpoints.json", world->directory);
    for (unsigned i = 0; i < WORLD_DEADLINE_MS / 10 && world->endpoints == NULL; i++) {
        world->endpoints = json_load_file(path, 0, NULL);
        (void)nanosleep(&moment, NULL);
    }
    assert_non_null(world->endpoints);
}

static size_t on_admin_bytes(char *bytes, size_t size, size_t count, void *context)
{
    return buffer_append(context, bytes, size * count) ? size * count : 0;
}

json_t *world_admin(struct world *world, const char *method, const char *path, const char *body)
{
    char url[512];
    struct buffer answer = {0};
    CURL *easy = curl_easy_init();

    (void)snprintf(url, sizeof url, "%s%s",
                   json_string_value(json_object_get(world->endpoints, "admin")), path);
    assert_non_null(easy);
    (void)curl_easy_setopt(easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(easy, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    if (body != NULL) {
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    }
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_admin_bytes);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer);
    CHECK_U64((uint64_t)curl_easy_perform(easy), CURLE_OK);
    long code = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code);
    if (code < 200 || code > 299) {
        print_error("%s %s: %ld %.*s\n", method, path, code, SLICE_ARG(buffer_slice(&answer)));
    }
    CHECK(code >= 200 && code <= 299);
    curl_easy_cleanup(easy);
    json_t *value = answer.size > 0 ? json_loadb(answer.data, answer.size, 0, NULL) : NULL;
    buffer_release(&answer);
    return value;
}

void world_fault(struct world *world, const char *script)
{
    json_decref(world_admin(world, "POST", "/faults", script));
}

void world_token(struct world *world, const char *kind, char out[64])
{
    char body[128];
    (void)snprintf(body, sizeof body, "{\"region\":\"nam\",\"kind\":\"%s\"}", kind);
    json_t *answer = world_admin(world, "POST", "/registration-tokens", body);

    (void)snprintf(out, 64, "%s", json_string_value(json_object_get(answer, "token")));
    json_decref(answer);
}

uint64_t world_summary(struct world *world, const char *key)
{
    json_t *answer = world_admin(world, "GET", "/sightings/summary", NULL);
    uint64_t number = (uint64_t)json_integer_value(json_object_get(answer, key));

    json_decref(answer);
    return number;
}

/* ---- Opening and closing ---- */

static void read_file(const char *path, struct buffer *out)
{
    char bytes[4096];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    while (size > 0) {
        CHECK(buffer_append(out, bytes, size));
        size = fread(bytes, 1, sizeof bytes, file);
    }
    (void)fclose(file);
}

static const char *endpoint(struct world *world, const char *region, const char *family)
{
    const json_t *regions = json_object_get(world->endpoints, "regions");
    return json_string_value(json_object_get(json_object_get(regions, region), family));
}

static struct endpoints endpoints_of(struct world *world, const char *region)
{
    return (struct endpoints){
        .visibility_url = endpoint(world, region, "visibility"),
        .ctia_url = endpoint(world, region, "private_intel"),
        .sse_url = endpoint(world, region, "sse"),
        .ca_pem = buffer_slice(&world->ca_pem),
    };
}

static void open_store(struct world *world)
{
    struct store_options options = {
        .directory = world->directory, .map_size_max = MAP_SIZE_MAX, .outbox_max = 1000000};

    CHECK_OK(store_open(&options, &world->store));
    world->index = store_applied_index(world->store);
}

static void fill_store(struct world *world)
{
    struct command init = {
        .type = COMMAND_CLUSTER_INIT,
        .body.cluster_init = {.cluster_id = slice_of(CLUSTER_ID),
                              .ca_certificate = slice_of("ca"),
                              .sealed_ca_key = slice_of("sealed"),
                              .key_epoch = 1,
                              .member = {.node_id = 1,
                                         .name = slice_of("esa1"),
                                         .serial = slice_of(WORLD_SERIAL),
                                         .model = slice_of("C100V"),
                                         .peer_address = slice_of("192.0.2.1:7400")}},
    };
    struct command enable = {
        .type = COMMAND_REGISTRATION_ENABLE,
        .body.registration_enable.region = slice_of("AMERICAS"),
    };

    CHECK_U64(world_apply(world, init), REFUSAL_NONE);
    CHECK_U64(world_apply(world, enable), REFUSAL_NONE);
}

static void open_cloud(struct world *world)
{
    assert_int_equal(uv_loop_init(&world->loop), 0);
    assert_int_equal(uv_timer_init(&world->loop, &world->applier), 0);
    assert_int_equal(uv_timer_init(&world->loop, &world->deadline), 0);
    world->applier.data = world;
    world->deadline.data = world;
    struct cloud_context context = {
        .loop = &world->loop,
        .store = world->store,
        .keys = &world->keys,
        .device_heartbeat_ms = WORLD_HEARTBEAT_MS,
        .node_name = "esa1",
        .endpoints = {[REGION_AMERICAS] = endpoints_of(world, "nam"),
                      [REGION_EUROPE] = endpoints_of(world, "eu")},
        .ops = &world_ops,
        .context = world,
    };
    CHECK_OK(cloud_create(&context, &world->cloud));
}

void world_open(struct world *world)
{
    char path[SCRATCH_PATH_SIZE + 32];

    *world = (struct world){0};
    scratch_make(world->directory);
    start_simulator(world);
    (void)snprintf(path, sizeof path, "%s/ca.pem", world->directory);
    read_file(path, &world->ca_pem);
    json_decref(world_admin(world, "POST", "/clients",
                            "{\"id\":\"" WORLD_CLIENT "\",\"password\":\"" WORLD_PASSWORD
                            "\",\"region\":\"nam\",\"scopes\":\"" WORLD_SCOPES "\"}"));
    world->keys.epoch = 1;
    CHECK_OK(secret_reserve(&world->keys.key, SEAL_KEY_SIZE));
    open_store(world);
    fill_store(world);
    open_cloud(world);
}

static void on_deadline(uv_timer_t *timer)
{
    struct world *world = timer->data;
    world->late = true;
}

static void on_closed(void *context)
{
    struct world *world = context;
    world->cloud = NULL;
    uv_close((uv_handle_t *)&world->applier, NULL);
    uv_close((uv_handle_t *)&world->deadline, NULL);
}

static void close_node(struct world *world)
{
    cloud_destroy(world->cloud, on_closed, world);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    store_close(world->store);
}

/* The life of a process that dies at a fault point, or, if it does not come by, ends well. */
static _Noreturn void live(struct world *world, const char *fault, world_condition holds)
{
    (void)setenv("MUSTER_FAULT", fault, 1);
    open_store(world);
    open_cloud(world);
    if (failed(fault_open())) {
        _exit(1);
    }
    world_lead(world);
    world->late = false;
    (void)uv_timer_start(&world->deadline, on_deadline, WORLD_DEADLINE_MS, 0);
    while (!holds(world) && !world->late) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    _exit(world->late ? 1 : 0);
}

bool world_dies_at(struct world *world, const char *fault, world_condition holds)
{
    int status = 0;

    CHECK_OK(store_flush(world->store));
    close_node(world);
    pid_t child = fork();
    if (child == 0) {
        live(world, fault, holds);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    bool died = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    CHECK(died || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    open_store(world);
    open_cloud(world);
    return died;
}

void world_close(struct world *world)
{
    close_node(world);
    (void)kill(world->sim, SIGTERM);
    (void)waitpid(world->sim, NULL, 0);
    json_decref(world->endpoints);
    buffer_release(&world->ca_pem);
    keyring_release(&world->keys);
    scratch_remove(world->directory);
}

/* ---- What an operator does ---- */

static struct slice seal(struct world *world, const char *what, uint64_t epoch, struct slice plain,
                         struct buffer *out)
{
    uint8_t nonce[SEAL_NONCE_SIZE];
    struct seal_purpose purpose = seal_purpose_of(slice_of(what), epoch);

    random_bytes(nonce, sizeof nonce);
    CHECK_OK(seal_close(secret_slice(&world->keys.key), 1, &purpose, nonce, plain, out));
    return buffer_slice(out);
}

void world_lead(struct world *world)
{
    cloud_on_leader(world->cloud, true);
}

void world_register(struct world *world, const char *token)
{
    struct secret key = {0};
    struct buffer csr = {0};
    struct buffer sealed_token = {0};
    struct buffer sealed_key = {0};

    world->epoch++;
    CHECK_OK(x509_make_key(&key));
    CHECK_OK(x509_make_request(secret_slice(&key), slice_of("esa1"), &csr));
    struct command begin = {
        .type = COMMAND_REGISTRATION_BEGIN,
        .body.registration_begin = {.mode = slice_of("machine"),
                                    .node_id = 1,
                                    .serial = slice_of(WORLD_SERIAL),
                                    .sealed_token = seal(world, "registration_token", world->epoch,
                                                         slice_of(token), &sealed_token),
                                    .sealed_key = seal(world, "device_key", world->epoch,
                                                       secret_slice(&key), &sealed_key),
                                    .csr = buffer_slice(&csr),
                                    .epoch = world->epoch,
                                    .key_epoch = 1},
    };
    CHECK_U64(world_apply(world, begin), REFUSAL_NONE);
    secret_release(&key);
    buffer_release(&csr);
    buffer_release(&sealed_token);
    buffer_release(&sealed_key);
}

void world_put_credentials(struct world *world, const char *client_id, const char *password,
                           const char *region)
{
    struct buffer sealed = {0};

    world->generation++;
    struct command put = {
        .type = COMMAND_CREDENTIAL_PUT,
        .body.credential_put = {.name = slice_of("prod"),
                                .client_id = slice_of(client_id),
                                .sealed_password = seal(world, "credential/prod", world->generation,
                                                        slice_of(password), &sealed),
                                .region = slice_of(region),
                                .generation = world->generation,
                                .key_epoch = 1},
    };
    struct command select = {
        .type = COMMAND_CREDENTIAL_SELECT,
        .body.credential_select.name = slice_of("prod"),
    };
    CHECK_U64(world_apply(world, put), REFUSAL_NONE);
    CHECK_U64(world_apply(world, select), REFUSAL_NONE);
    buffer_release(&sealed);
}

static void encode_record(uint64_t number, struct buffer *out)
{
    char subject[64];
    struct slice recipients[] = {slice_of("ann@example.com"), slice_of("bob@example.com")};
    struct record_observable observables[] = {
        {.type = slice_of("ip"), .value = slice_of("192.0.2.7")},
        {.type = slice_of("domain"), .value = slice_of("sender.example")},
        {.type = slice_of("url"), .value = slice_of("http://sender.example/path?q=1")},
    };

    (void)snprintf(subject, sizeof subject, "A \"subject\" of message %llu",
                   (unsigned long long)number);
    struct message_record record = {
        .serial = slice_of(WORLD_SERIAL),
        .mid = number,
        .revision = FIRST_MS + number,
        .start_ms = FIRST_MS + number,
        .last_ms = FIRST_MS + number + 900,
        .complete = true,
        .disposition = slice_of("delivered"),
        .direction = slice_of("incoming"),
        .sender = slice_of("news@sender.example"),
        .recipients = {recipients, 2},
        .recipient_count = 2,
        .subject = slice_of(subject),
        .message_id = slice_of("<20260102030405.1@sender.example>"),
        .sender_ip = slice_of("192.0.2.7"),
        .observables = {observables, 3},
    };
    CHECK_OK(codec_encode(&message_record_codec, CODEC_TAGS, &record, out));
}

static void put_some(struct world *world, size_t count)
{
    static struct record_put puts[RECORDS_PER_COMMAND];
    static char ids[RECORDS_PER_COMMAND][24];
    struct buffer bodies[RECORDS_PER_COMMAND] = {{0}};

    for (size_t i = 0; i < count; i++) {
        uint64_t number = ++world->record_count;
        (void)snprintf(ids[i], sizeof ids[i], "%llu", (unsigned long long)number);
        encode_record(number, &bodies[i]);
        puts[i] = (struct record_put){
            .kind = RECORD_MESSAGE,
            .serial = slice_of(WORLD_SERIAL),
            .id = slice_of(ids[i]),
            .revision = FIRST_MS + number,
            .observed_at_ms = FIRST_MS + number,
            .body = buffer_slice(&bodies[i]),
        };
    }
    struct command put = {
        .type = COMMAND_RECORDS_PUT,
        .body.records_put = {.feed = slice_of("mail_logs"), .records = {puts, count}},
    };
    CHECK_U64(world_apply(world, put), REFUSAL_NONE);
    for (size_t i = 0; i < count; i++) {
        buffer_release(&bodies[i]);
    }
}

void world_put_records(struct world *world, size_t count)
{
    while (count > 0) {
        size_t now = count < RECORDS_PER_COMMAND ? count : RECORDS_PER_COMMAND;
        put_some(world, now);
        count -= now;
    }
}

/* ---- Waiting ---- */

void world_until(struct world *world, world_condition holds, const char *what)
{
    world->late = false;
    (void)uv_timer_start(&world->deadline, on_deadline, WORLD_DEADLINE_MS, 0);
    while (!holds(world) && !world->late) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    (void)uv_timer_stop(&world->deadline);
    if (!holds(world)) {
        struct cloud_export_state state;
        cloud_export_state(world->cloud, &state);
        print_error("not in time: %s (export: %s; %s)\n", what, state.state, state.last_error);
    }
    CHECK(holds(world));
}

void world_run_ms(struct world *world, unsigned ms)
{
    world->late = false;
    (void)uv_timer_start(&world->deadline, on_deadline, ms, 0);
    while (!world->late) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
}

uint64_t world_registration_state(struct world *world)
{
    struct arena arena = {0};
    struct registration_view view;

    CHECK_OK(store_registration(world->store, &arena, &view));
    arena_release(&arena);
    return view.state;
}

bool world_registered(struct world *world)
{
    return world_registration_state(world) == REGISTRATION_REGISTERED;
}

bool world_verified(struct world *world)
{
    struct arena arena = {0};
    struct credential_view view = {0};
    struct status status = store_credential(world->store, &arena, (struct slice){0}, &view);

    arena_release(&arena);
    return !failed(status) && view.verified;
}

struct export_view world_export(struct world *world)
{
    struct arena arena = {0};
    struct export_view view;

    CHECK_OK(store_export(world->store, &arena, &view));
    arena_release(&arena);
    CHECK_U64(view.produced, view.delivered + view.pending + view.dead_lettered + view.discarded);
    return view;
}

bool world_exported(struct world *world)
{
    return world_export(world).pending == 0;
}

void world_enrol(struct world *world)
{
    char token[64];

    world_token(world, "valid", token);
    world_register(world, token);
    world_put_credentials(world, WORLD_CLIENT, WORLD_PASSWORD, "AMERICAS");
    world_lead(world);
    world_until(world, world_registered, "registered");
    world_until(world, world_verified, "credentials verified");
}
