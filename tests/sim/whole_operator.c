/*
 * The operator: forms the cluster, admits its nodes, registers and deregisters, hands over, adds and
 * verifies credentials, rotates the cluster key, pauses, and sees to dead letters. Before healing at random, afterwards
 * whatever it takes that the export goes on.
 *
 * Commands are made as the handlers make them: from what the leader's store says at the time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>

#include "store/seal.h"
#include "whole.h"

/* What the leader's store says. */
struct outlook {
    struct world *world;
    struct site *site;
    struct arena arena;
    struct cluster_view cluster;
    struct registration_view registration;
    struct export_view export;
    struct codec_list members;
    struct codec_list credentials;
    struct codec_list dead_letters;
};

static bool look_out(struct outlook *out)
{
    struct store *store = out->site->node->store;
    return !failed(store_cluster(store, &out->arena, &out->cluster)) &&
           !failed(store_registration(store, &out->arena, &out->registration)) &&
           !failed(store_export(store, &out->arena, &out->export)) &&
           !failed(store_members(store, &out->arena, &out->members)) &&
           !failed(store_credentials(store, &out->arena, &out->credentials)) &&
           !failed(store_dead_letters(store, &out->arena, 0, 1, &out->dead_letters));
}

static void on_done(void *argument, struct status status, struct apply_outcome outcome)
{
    struct world *world = argument;
    world_say(world, "operator: %s",
              failed(status) ? status.message : refusal_name((enum refusal)outcome.refusal));
}

static void do_command(const struct outlook *outlook, const struct command *command,
                       const char *what)
{
    struct world *world = outlook->world;
    world->whole->counts[WHOLE_ACTIONS]++;
    world_say(world, "operator, at node %u: %s%s%s", outlook->site->node->number,
              command_name(command->type), what[0] != '\0' ? ", " : "", what);
    struct status status = site_propose(outlook->site, command, on_done, world);
    if (failed(status)) {
        world_say(world, "operator: %s", status.message);
    }
}

static struct slice seal(struct outlook *outlook, const char *what, uint64_t epoch,
                         const char *plain)
{
    const struct seal_purpose purpose = seal_purpose_of(slice_of(what), epoch);
    return whole_seal(outlook->site, &outlook->arena, &purpose, plain);
}

/* ---- The cluster ---- */

static void form(struct outlook *outlook)
{
    const struct command command = {
        .type = COMMAND_CLUSTER_FORM,
        .body.cluster_form.name = slice_of("mail"),
    };
    do_command(outlook, &command, "");
}

static const struct member *member_of(const struct outlook *outlook, uint64_t node_id)
{
    const struct member *members = outlook->members.items;
    for (size_t i = 0; i < outlook->members.count; i++) {
        if (members[i].node_id == node_id) {
            return &members[i];
        }
    }
    return NULL;
}

static void make_join_token(struct outlook *outlook, const char *id)
{
    static const char hash[STORE_HASH_SIZE] = "hash";
    const struct command command = {
        .type = COMMAND_JOIN_TOKEN_CREATE,
        .body.join_token_create = {.token_id = slice_of(id),
                                   .secret_hash = {.data = hash, .size = sizeof hash},
                                   .expires_at_ms = UINT64_MAX / 2},
    };
    do_command(outlook, &command, id);
}

static void admit(struct outlook *outlook, const char *token, uint64_t node_id)
{
    char name[32];
    char serial[32];
    (void)snprintf(name, sizeof name, "n%llu", (unsigned long long)node_id);
    (void)snprintf(serial, sizeof serial, "serial-%llu", (unsigned long long)node_id);
    const struct command command = {
        .type = COMMAND_MEMBER_ADMIT,
        .body.member_admit = {.token_id = slice_of(token),
                              .member = {.node_id = node_id,
                                         .name = slice_of(name),
                                         .serial = slice_of(serial),
                                         .certificate = whole_certificate(outlook->world,
                                                                          &outlook->arena, node_id),
                                         .standing = STANDING_JOINING,
                                         .since_ms = site_now_ms(outlook->site)},
                              .registration_state = REGISTRATION_DISABLED,
                              .statement = slice_of("signed"),
                              .cloud_check = CLOUD_CHECK_UNREACHABLE},
    };
    do_command(outlook, &command, name);
}

/* The next step that brings a node of the simulation into the store's members. */
static bool grow(struct outlook *outlook)
{
    for (uint64_t id = 2; id <= outlook->world->options.node_count; id++) {
        const struct member *member = member_of(outlook, id);
        struct join_token_view view;
        char token[17];
        (void)snprintf(token, sizeof token, "%016llx", (unsigned long long)id);
        if (member != NULL && member->standing == STANDING_MEMBER) {
            continue;
        }
        if (member != NULL) {
            const struct command command = {
                .type = COMMAND_MEMBER_SET,
                .body.member_set = {.node_id = id, .standing = STANDING_MEMBER},
            };
            do_command(outlook, &command, "");
        } else if (failed(store_join_token(outlook->site->node->store, &outlook->arena,
                                           slice_of(token), &view))) {
            make_join_token(outlook, token);
        } else {
            admit(outlook, token, id);
        }
        return true;
    }
    return false;
}

/* What membership_worker.c sees to in musterd: who has caught up is confirmed, who never came is
 * rolled back; and a member is removed now and then. */
static bool tend_lone(struct outlook *outlook, const struct member *member, const struct lone *lone)
{
    struct command command = {
        .type = COMMAND_MEMBER_REMOVE,
        .body.member_remove = {.node_id = member->node_id},
    };
    if (member->standing == STANDING_JOINING && lone->state == LONE_JOINED) {
        command.type = COMMAND_MEMBER_SET;
        command.body.member_set =
            (struct member_set){.node_id = member->node_id, .standing = STANDING_MEMBER};
    } else if (member->standing == STANDING_JOINING && lone->state != LONE_ASKING) {
        command.body.member_remove.rollback = true;
    } else if (member->standing == STANDING_MEMBER && !outlook->world->whole->healed &&
               whole_chance(outlook->world, 20)) {
        command.body.member_remove.force = true;
    } else {
        return false;
    }
    do_command(outlook, &command, lone->name);
    return true;
}

static bool tend_lones(struct outlook *outlook)
{
    const struct member *members = outlook->members.items;
    for (size_t i = 0; i < outlook->members.count; i++) {
        const struct lone *lone = lone_of(outlook->world, members[i].node_id);
        if (lone != NULL && tend_lone(outlook, &members[i], lone)) {
            return true;
        }
    }
    return false;
}

/* A node of the simulation; those who came later are not its machines. */
static const struct member *any_member(const struct outlook *outlook)
{
    return member_of(outlook, whole_draw(outlook->world, 1, outlook->world->options.node_count));
}

/* ---- Registration ---- */

static void enable(struct outlook *outlook)
{
    const struct command command = {
        .type = COMMAND_REGISTRATION_ENABLE,
        .body.registration_enable.region = slice_of("AMERICAS"),
    };
    do_command(outlook, &command, "");
}

static void register_machine(struct outlook *outlook, enum token_fate fate)
{
    const struct member *machine = any_member(outlook);
    uint64_t epoch = outlook->registration.epoch + 1;
    const struct command command = {
        .type = COMMAND_REGISTRATION_BEGIN,
        .body.registration_begin =
            {
                .mode = slice_of("machine"),
                .node_id = machine->node_id,
                .serial = machine->serial,
                .sealed_token = seal(outlook, "registration_token", epoch,
                                     device_make_token(outlook->world, fate)),
                .sealed_key = seal(outlook, "device_key", epoch, device_key_pem),
                .csr = slice_of(device_request_pem),
                .epoch = epoch,
                .key_epoch = outlook->site->keys.epoch,
            },
    };
    do_command(outlook, &command, "with a token from the portal");
}

/* The cloud does not take the device: the export holds until a person does something about it. */
static bool is_held(const struct outlook *outlook)
{
    return outlook->registration.state == REGISTRATION_REGISTERED &&
           outlook->registration.error_code.size > 0;
}

/* Only what is gone for certain may be forgotten: the next registration may be another machine's. */
static void go_back(struct outlook *outlook)
{
    const struct registration_view *view = &outlook->registration;
    bool gone = slice_equal(view->error_code, slice_of("device_deregistered"));
    struct command command = {
        .type = gone ? COMMAND_REGISTRATION_FORGET : COMMAND_DEREGISTRATION_BEGIN,
    };
    /* Both begin with the epoch. */
    command.body.registration_forget.epoch = view->epoch;
    do_command(outlook, &command, "for the cloud does not take the device");
}

static void act_registration(struct outlook *outlook)
{
    struct world *world = outlook->world;
    const struct registration_view *view = &outlook->registration;
    bool healed = world->whole->healed;
    enum token_fate fate = healed || whole_chance(world, 80)
                               ? TOKEN_GOOD
                               : (enum token_fate)whole_draw(world, 0, TOKEN_FATE_COUNT - 1);
    if (is_held(outlook)) {
        go_back(outlook);
    } else if (view->state == REGISTRATION_DISABLED) {
        enable(outlook);
    } else if (view->state == REGISTRATION_ENABLED && !healed && whole_chance(world, 10)) {
        const struct command command = {.type = COMMAND_REGISTRATION_DISABLE};
        do_command(outlook, &command, "");
    } else if (view->state == REGISTRATION_ENABLED || view->state == REGISTRATION_FAILED) {
        register_machine(outlook, fate);
    } else if (view->state == REGISTRATION_REGISTERED && !healed && whole_chance(world, 25)) {
        const struct command command = {
            .type = COMMAND_DEREGISTRATION_BEGIN,
            .body.deregistration_begin.epoch = view->epoch,
        };
        do_command(outlook, &command, "");
    } else if (view->state == REGISTRATION_REGISTERED && !healed && whole_chance(world, 20)) {
        const struct member *next = any_member(outlook);
        const struct command command = {
            .type = COMMAND_REGISTRATION_HAND_OVER,
            .body.registration_hand_over = {view->epoch, next->node_id, next->serial},
        };
        do_command(outlook, &command, "to another machine");
    }
}

/* ---- Credentials ---- */

static const struct credential_view *credential_of(const struct outlook *outlook, const char *name)
{
    const struct credential_view *all = outlook->credentials.items;
    for (size_t i = 0; i < outlook->credentials.count; i++) {
        if (slice_equal(all[i].name, slice_of(name))) {
            return &all[i];
        }
    }
    return NULL;
}

static void put_credential(struct outlook *outlook, const char *name, const char *client,
                           const char *password)
{
    char what[STORE_NAME_SIZE_MAX + 16];
    const struct credential_view *present = credential_of(outlook, name);
    uint64_t generation = present != NULL ? present->generation + 1 : 1;
    (void)snprintf(what, sizeof what, "credential/%s", name);
    bool tells = outlook->world->options.sabotage == SABOTAGE_SECRET;
    const struct command command = {
        .type = COMMAND_CREDENTIAL_PUT,
        .body.credential_put = {.name = slice_of(name),
                                .client_id = slice_of(client),
                                .sealed_password = tells
                                                       ? slice_of(password)
                                                       : seal(outlook, what, generation, password),
                                .region = slice_of("AMERICAS"),
                                .generation = generation,
                                .key_epoch = outlook->site->keys.epoch},
    };
    do_command(outlook, &command, client);
}

static void select_credential(struct outlook *outlook, const char *name)
{
    const struct command command = {
        .type = COMMAND_CREDENTIAL_SELECT,
        .body.credential_select.name = slice_of(name),
    };
    do_command(outlook, &command, name);
}

static void on_verified(void *argument, struct status status)
{
    struct world *world = argument;
    world_say(world, "operator: the verification ended: %s",
              failed(status) ? status.message : "done");
}

static void verify(struct outlook *outlook)
{
    world_say(outlook->world, "operator, at node %u: verify", outlook->site->node->number);
    cloud_verify(outlook->site->cloud, (struct slice){0}, on_verified, outlook->world);
}

static void act_credentials(struct outlook *outlook)
{
    switch (whole_draw(outlook->world, 0, 5)) {
    case 0:
    case 1: put_credential(outlook, "main", "client-whole", "password-whole"); break;
    case 2: put_credential(outlook, "narrow", "client-narrow", "password-narrow"); break;
    case 3: put_credential(outlook, "wrong", "client-whole", "password-wrong"); break;
    case 4: {
        static const char *const names[] = {"main", "main", "narrow", "wrong"};
        select_credential(outlook, names[whole_draw(outlook->world, 0, 3)]);
        break;
    }
    default: verify(outlook); break;
    }
}

/* ---- The cluster key, and certificates ---- */

static void rotate(struct outlook *outlook)
{
    struct command command = {.type = COMMAND_KEY_ROTATE};
    struct status status = key_rotate_make(&outlook->site->key.context, &outlook->arena,
                                           slice_of("asked for"), &command.body.key_rotate);
    if (failed(status)) {
        world_say(outlook->world, "operator: %s", status.message);
    } else {
        do_command(outlook, &command, "");
    }
}

/* As renewal.c: another certificate for the key that the member has. */
static void renew_certificate(struct outlook *outlook)
{
    const struct member *members = outlook->members.items;
    size_t count = outlook->members.count;
    uint64_t node_id = members[whole_draw(outlook->world, 0, (unsigned)count - 1)].node_id;
    const struct command command = {
        .type = COMMAND_MEMBER_SET,
        .body.member_set = {.node_id = node_id,
                            .certificate =
                                whole_certificate(outlook->world, &outlook->arena, node_id)},
    };
    do_command(outlook, &command, "its certificate");
}

/* ---- Voters ---- */

static void set_voters(struct outlook *outlook)
{
    char words[32];
    const struct command command = {
        .type = COMMAND_SETTINGS_SET,
        .body.settings_set.voters = 2 * whole_draw(outlook->world, 0, 3) + 1,
    };
    (void)snprintf(words, sizeof words, "%llu are to vote",
                   (unsigned long long)command.body.settings_set.voters);
    do_command(outlook, &command, words);
}

/* ---- Export ---- */

static void pause_export(struct outlook *outlook, bool paused)
{
    const struct command command = {
        .type = COMMAND_EXPORT_PAUSE,
        .body.export_pause = {.paused = paused, .reason = slice_of("the operator's")},
    };
    do_command(outlook, &command, paused ? "on" : "off");
}

static void act_export(struct outlook *outlook)
{
    const struct dead_letter_view *letters = outlook->dead_letters.items;
    if (outlook->export.paused) {
        pause_export(outlook, false);
    } else if (outlook->dead_letters.count > 0 && whole_chance(outlook->world, 70)) {
        bool again = whole_chance(outlook->world, 50);
        struct command command = {
            .type = again ? COMMAND_DEAD_LETTER_RETRY : COMMAND_DEAD_LETTER_DISCARD,
        };
        command.body.dead_letter_retry.sequence = letters[0].record.sequence;
        do_command(outlook, &command, "");
    } else if (whole_chance(outlook->world, 20)) {
        pause_export(outlook, true);
    }
}

/* ---- What next ---- */

static void act_randomly(struct outlook *outlook)
{
    unsigned drawn = whole_draw(outlook->world, 1, 100);
    bool registered = outlook->registration.state == REGISTRATION_REGISTERED && !is_held(outlook);
    if (outlook->world->options.roles && whole_chance(outlook->world, 4)) {
        set_voters(outlook);
    } else if (whole_chance(outlook->world, 8)) {
        rotate(outlook);
    } else if (whole_chance(outlook->world, 4)) {
        renew_certificate(outlook);
    } else if (drawn <= (registered ? 10U : 50U)) {
        act_registration(outlook);
    } else if (outlook->credentials.count == 0 || drawn <= 65) {
        act_credentials(outlook);
    } else {
        act_export(outlook);
    }
}

/* One thing at a time, until nothing is in the way of the export. */
static void act_to_heal(struct outlook *outlook)
{
    const struct credential_view *main = credential_of(outlook, "main");
    bool good = main != NULL && slice_equal(main->client_id, slice_of("client-whole"));
    if (good && main->verified_at_ms != 0 && !main->verified) {
        good = false;
    }
    if (!good) {
        put_credential(outlook, "main", "client-whole", "password-whole");
    } else if (!main->selected) {
        select_credential(outlook, "main");
    } else if (outlook->export.paused) {
        pause_export(outlook, false);
    } else {
        act_registration(outlook);
    }
}

static void wake(void *context, uint64_t argument)
{
    struct world *world = context;
    struct outlook outlook = {.world = world, .site = whole_leader(world)};
    (void)argument;
    if (outlook.site != NULL && look_out(&outlook)) {
        if (outlook.cluster.name.size == 0) {
            form(&outlook);
        } else if (grow(&outlook) || tend_lones(&outlook)) {
            /* One thing at a time. */
        } else if (world->whole->healed) {
            act_to_heal(&outlook);
        } else {
            act_randomly(&outlook);
        }
    }
    arena_release(&outlook.arena);
    whole_later(world, NULL, whole_draw(world, 100, 2000), wake, world, 0);
}

void operator_start(struct world *world)
{
    wake(world, 0);
}
