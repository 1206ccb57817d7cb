/*
 * Renewing certificates: the leader's part, the node's own, and warnings.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "renewal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/x509.h"
#include "daemon.h"
#include "issue.h"

#define OWN_EVERY_MS 2000  /* A comparison; */
#define ALL_EVERY_MS 60000 /* but each certificate that is read costs some 0.1 ms. */
#define RETRY_MS 60000     /* What the disk did not take is not tried at every look. */
#define DAY_MS UINT64_C(86400000)

bool renewal_is_due(uint64_t not_before_ms, uint64_t not_after_ms, uint64_t now_ms)
{
    if (now_ms < not_before_ms || not_after_ms <= not_before_ms) {
        return true;
    }
    return now_ms - not_before_ms >= (not_after_ms - not_before_ms) / 3 * 2;
}

unsigned renewal_warning_days(uint64_t not_after_ms, uint64_t now_ms)
{
    static const unsigned steps[] = {1, 7, 30};
    if (now_ms >= not_after_ms) {
        return 0;
    }
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (not_after_ms - now_ms <= steps[i] * DAY_MS) {
            return steps[i];
        }
    }
    return RENEWAL_FAR;
}

const char *renewal_warning_words(unsigned days)
{
    switch (days) {
    case 0: return "has ended";
    case 1: return "ends within a day";
    case 7: return "ends within 7 days";
    default: return "ends within 30 days";
    }
}

/* ---- The node's own ---- */

/* What the state says is this node's certificate becomes its certificate. */
static void take_own(struct renewal *renewal, struct daemon *daemon, struct arena *arena)
{
    const struct identity *identity = &daemon->identity;
    struct member member;
    char until[CLOCK_TEXT_SIZE];
    uint64_t not_after_ms = 0;
    if (failed(store_member(daemon->store, arena, identity->node_id, &member)) ||
        member.standing == STANDING_REMOVED || member.certificate.size == 0 ||
        slice_equal(member.certificate, buffer_slice(&identity->certificate))) {
        return;
    }
    struct status status = daemon_renew_tls(daemon, member.certificate);
    if (!failed(status)) {
        status = x509_not_after_ms(member.certificate, &not_after_ms);
    }
    if (failed(status)) {
        renewal->next_at_ms = clock_monotonic_ms() + RETRY_MS;
        log_event(LOG_LEVEL_WARNING, "the new certificate is not in use yet, will be tried again",
                  log_text("reason", status.message));
        return;
    }
    log_event(LOG_LEVEL_NOTICE, "this node has a new certificate",
              log_text("until", clock_format(not_after_ms, until)));
}

/* ---- The leader's part ---- */

static void on_renewed(void *argument, struct status status, struct apply_outcome outcome)
{
    struct daemon *daemon = argument;
    daemon->renewal.proposing = false;
    if (failed(status) || outcome.refusal != REFUSAL_NONE) {
        log_event(LOG_LEVEL_NOTICE, "a certificate was not renewed, will be tried again",
                  log_text("error", failed(status)
                                        ? status.message
                                        : refusal_reason((enum refusal)outcome.refusal)));
    }
}

static bool is_due(const struct member *member, uint64_t now_ms)
{
    uint64_t not_before_ms = 0;
    uint64_t not_after_ms = 0;
    return member->standing != STANDING_REMOVED &&
           !failed(x509_not_before_ms(member->certificate, &not_before_ms)) &&
           !failed(x509_not_after_ms(member->certificate, &not_after_ms)) &&
           renewal_is_due(not_before_ms, not_after_ms, now_ms);
}

/* Near the CA's own end nothing can be won any more. */
static bool is_better(struct slice issued, const struct member *member, uint64_t now_ms)
{
    uint64_t before_ms = 0;
    uint64_t after_ms = 0;
    uint64_t not_before_ms = 0;
    return !failed(x509_not_after_ms(member->certificate, &before_ms)) &&
           !failed(x509_not_before_ms(member->certificate, &not_before_ms)) &&
           !failed(x509_not_after_ms(issued, &after_ms)) &&
           (after_ms > before_ms || now_ms < not_before_ms);
}

static void renew(struct renewal *renewal, struct daemon *daemon, const struct member *member,
                  uint64_t now_ms)
{
    struct buffer issued = {0};
    /* The key is the one that was proven when the node was admitted. */
    struct status status = issue_certificate(daemon, ISSUE_NODE, member->certificate, member->name,
                                             ISSUE_NODE_DAYS, &issued);
    if (!failed(status) && is_better(buffer_slice(&issued), member, now_ms)) {
        const struct command command = {
            .type = COMMAND_MEMBER_SET,
            .body.member_set = {.node_id = member->node_id, .certificate = buffer_slice(&issued)},
        };
        status = daemon_propose(daemon, &command, on_renewed, daemon);
        renewal->proposing = !failed(status);
    }
    if (failed(status)) {
        renewal->next_at_ms = clock_monotonic_ms() + RETRY_MS;
        log_event(LOG_LEVEL_WARNING, "a certificate was not renewed, will be tried again",
                  log_slice("node", member->name), log_text("error", status.message));
    }
    buffer_release(&issued);
}

/* ---- Warnings ---- */

/* Did it come nearer to its end than at the last look? */
static void warn(const struct renewal *renewal, const char *whose, struct slice name,
                 uint64_t not_after_ms, uint64_t now_ms)
{
    char until[CLOCK_TEXT_SIZE];
    unsigned days = renewal_warning_days(not_after_ms, now_ms);
    if (not_after_ms == 0 || days >= renewal_warning_days(not_after_ms, renewal->looked_at_ms)) {
        return;
    }
    log_event(days == 0 ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, "a certificate comes to its end",
              log_text("of", whose), log_slice("name", name),
              log_text("what", renewal_warning_words(days)),
              log_text("until", clock_format(not_after_ms, until)));
}

static void warn_of_all(struct renewal *renewal, struct daemon *daemon, struct arena *arena,
                        const struct codec_list *members, uint64_t now_ms)
{
    struct cluster_view cluster;
    struct codec_list operators;
    const struct member *member = members->items;
    uint64_t until_ms = 0;
    if (!failed(store_cluster(daemon->store, arena, &cluster)) &&
        !failed(x509_not_after_ms(cluster.ca_certificate, &until_ms))) {
        warn(renewal, "the cluster's CA", cluster.name, until_ms, now_ms);
    }
    for (size_t i = 0; i < members->count; i++) {
        if (member[i].standing != STANDING_REMOVED &&
            !failed(x509_not_after_ms(member[i].certificate, &until_ms))) {
            warn(renewal, "node", member[i].name, until_ms, now_ms);
        }
    }
    if (!failed(store_operators(daemon->store, arena, &operators))) {
        const struct operator_view *row = operators.items;
        for (size_t i = 0; i < operators.count; i++) {
            warn(renewal, "operator", row[i].name, row[i].not_after_ms, now_ms);
        }
    }
    renewal->looked_at_ms = now_ms;
}

static void look_at_all(struct renewal *renewal, struct daemon *daemon, struct arena *arena)
{
    uint64_t now_ms = clock_now_ms();
    struct codec_list members;
    if (failed(store_members(daemon->store, arena, &members)) || members.count == 0) {
        return; /* It has just begun, and its first entry is not applied. */
    }
    renewal->all_at_ms = clock_monotonic_ms() + ALL_EVERY_MS;
    warn_of_all(renewal, daemon, arena, &members, now_ms);
    const struct member *member = members.items;
    for (size_t i = 0; i < members.count; i++) {
        if (is_due(&member[i], now_ms)) {
            renewal->all_at_ms = 0; /* The others at the next looks. */
            renew(renewal, daemon, &member[i], now_ms);
            break;
        }
    }
}

void renewal_step(struct renewal *renewal, struct daemon *daemon)
{
    uint64_t now_ms = clock_monotonic_ms();
    struct arena arena = {0};
    if (renewal->proposing || now_ms < renewal->next_at_ms) {
        return;
    }
    renewal->next_at_ms = now_ms + OWN_EVERY_MS;
    take_own(renewal, daemon, &arena);
    if (daemon_leads(daemon) && now_ms >= renewal->all_at_ms) {
        look_at_all(renewal, daemon, &arena);
    }
    arena_release(&arena);
}
