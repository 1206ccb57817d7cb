/*
 * The registration.
 *
 *            enable            begin                complete
 *   DISABLED ------> ENABLED --------> REGISTERING ----------> REGISTERED
 *      ^  disable    |  ^  ^               | fail                  | deregistration_begin
 *      +-------------+  |  |               v                       v
 *      +----------------|--|----------- FAILED               DEREGISTERING
 *        disable        +--|-- enable ---' | begin: as ENABLED      | deregistration_complete
 *                          +----------------------------------------+
 *
 * forget leads from REGISTERING, REGISTERED and DEREGISTERING to ENABLED. A note changes no state, but
 * its code, while REGISTERED, holds the export (docs/registration.md has all of it as a table).
 *
 * The epoch rises by one with each begin; an answer that names another epoch is refused (rule 5).
 * From begin to complete or fail the sealed token, key and request stay, so that whoever leads asks
 * the cloud again with the same ones.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "apply.h"
#include "rows.h"

static void enter(struct apply *apply, struct registration_view *registration,
                  enum registration_state state)
{
    registration->state = state;
    registration->since_ms = apply->stamp->at_ms;
    registration->attempt = 0;
    registration->next_try_ms = 0;
    registration->error_code = (struct slice){0};
    registration->error = (struct slice){0};
}

/* Forget everything about the device but the region, the epoch, which only rises, and the id of one
 * that a person gave up. */
static void clear_device(struct registration_view *registration)
{
    *registration = (struct registration_view){
        .state = registration->state,
        .region = registration->region,
        .epoch = registration->epoch,
        .former_device_id = registration->former_device_id,
    };
}

static bool joining(struct apply *apply)
{
    struct cluster_view cluster = {0};
    return cluster_row_get(apply->txn, &cluster) && cluster.standing == STANDING_JOINING;
}

enum refusal apply_registration_enable(struct apply *apply,
                                       const struct registration_enable *enable)
{
    struct registration_view registration;
    registration_row_get(apply->txn, &registration);
    if (enable->region.size == 0) {
        return REFUSAL_FIELD;
    }
    if (joining(apply)) {
        return REFUSAL_STANDING_JOINING;
    }
    bool same_region = slice_equal(enable->region, registration.region);
    if (registration_exists(&registration)) {
        return same_region ? REFUSAL_ALREADY_ENABLED : REFUSAL_REGION_FIXED;
    }
    if (registration.state == REGISTRATION_ENABLED && same_region) {
        return REFUSAL_ALREADY_ENABLED;
    }
    registration.region = enable->region;
    enter(apply, &registration, REGISTRATION_ENABLED);
    registration_row_put(apply->txn, &registration);
    return REFUSAL_NONE;
}

enum refusal apply_registration_disable(struct apply *apply)
{
    struct registration_view registration;
    registration_row_get(apply->txn, &registration);
    if (registration_exists(&registration)) {
        return REFUSAL_REGISTRATION_EXISTS;
    }
    if (registration.state == REGISTRATION_DISABLED) {
        return REFUSAL_DISABLED;
    }
    enter(apply, &registration, REGISTRATION_DISABLED);
    registration_row_put(apply->txn, &registration);
    return REFUSAL_NONE;
}

/* The machine must be a full member and carry that serial (rule 6). */
static enum refusal check_machine(struct apply *apply, uint64_t node_id, struct slice serial)
{
    struct member member;
    if (!member_row_get(apply->txn, node_id, &member) ||
        (member.standing != STANDING_STANDALONE && member.standing != STANDING_MEMBER)) {
        return REFUSAL_MEMBER_UNKNOWN;
    }
    return slice_equal(member.serial, serial) ? REFUSAL_NONE : REFUSAL_OTHER_MACHINE;
}

static enum refusal check_begin(struct apply *apply, const struct registration_view *registration,
                                const struct registration_begin *begin)
{
    if (joining(apply)) {
        return REFUSAL_STANDING_JOINING;
    }
    if (!slice_equal(begin->mode, slice_of("machine"))) {
        return REFUSAL_NOT_MACHINE_MODE;
    }
    if (registration->state == REGISTRATION_DISABLED) {
        return REFUSAL_DISABLED;
    }
    if (registration_exists(registration)) {
        return REFUSAL_REGISTRATION_EXISTS;
    }
    if (begin->epoch != registration->epoch + 1) {
        return REFUSAL_EPOCH;
    }
    if (begin->sealed_token.size == 0 || begin->sealed_key.size == 0 || begin->csr.size == 0) {
        return REFUSAL_FIELD;
    }
    if (!key_is_present(apply, begin->key_epoch)) {
        return REFUSAL_KEY_CHANGED;
    }
    return check_machine(apply, begin->node_id, begin->serial);
}

enum refusal apply_registration_begin(struct apply *apply, const struct registration_begin *begin)
{
    struct registration_view registration;
    registration_row_get(apply->txn, &registration);
    enum refusal refusal = check_begin(apply, &registration, begin);
    if (refusal != REFUSAL_NONE) {
        return refusal;
    }
    clear_device(&registration);
    enter(apply, &registration, REGISTRATION_REGISTERING);
    registration.mode = begin->mode;
    registration.node_id = begin->node_id;
    registration.serial = begin->serial;
    registration.epoch = begin->epoch;
    registration.sealed_token = begin->sealed_token;
    registration.sealed_key = begin->sealed_key;
    registration.csr = begin->csr;
    registration.key_epoch = begin->key_epoch;
    registration_row_put(apply->txn, &registration);
    return REFUSAL_NONE;
}

enum refusal apply_registration_note(struct apply *apply, const struct registration_note *note)
{
    struct registration_view registration;
    registration_row_get(apply->txn, &registration);
    if (note->epoch != registration.epoch) {
        return REFUSAL_EPOCH;
    }
    if (!registration_exists(&registration)) {
        return REFUSAL_NOT_REGISTERED;
    }
    if (note->registration_id.size > 0) {
        registration.registration_id = note->registration_id;
    }
    registration.attempt = note->attempt;
    registration.error = note->error;
    registration.error_code = note->code;
    registration.next_try_ms = note->next_try_ms;
    registration_row_put(apply->txn, &registration);
    return REFUSAL_NONE;
}

/* The certificate of a device that is registered already was renewed. */
static enum refusal renew(struct apply *apply, struct registration_view *registration,
                          const struct registration_complete *complete)
{
    if (!slice_equal(registration->device_id, complete->device_id)) {
        return REFUSAL_REGISTRATION_EXISTS;
    }
    registration->certificate = complete->certificate;
    registration->not_after_ms = complete->not_after_ms;
    registration->renewed_ms = apply->stamp->at_ms;
    registration->error_code = (struct slice){0};
    registration->error = (struct slice){0};
    if (registration->renewal_csr.size > 0) {
        registration->sealed_key = registration->sealed_renewal_key;
        registration->csr = registration->renewal_csr;
        registration->renewal_csr = (struct slice){0};
        registration->sealed_renewal_key = (struct slice){0};
    }
    registration_row_put(apply->txn, registration);
    return REFUSAL_NONE;
}

enum refusal apply_registration_renew(struct apply *apply, const struct registration_renew *renewal)
{
    struct registration_view registration;
    registration_row_get(apply->txn, &registration);
    if (renewal->epoch != registration.epoch) {
        return REFUSAL_EPOCH;
    }
    if (registration.state != REGISTRATION_REGISTERED) {
        return REFUSAL_NOT_REGISTERED;
    }
    if (registration.renewal_csr.size > 0) {
        return REFUSAL_REGISTRATION_IN_DOUBT;
    }
    if (renewal->sealed_key.size == 0 || renewal->csr.size == 0) {
        return REFUSAL_FIELD;
    }
    if (!key_is_present(apply, renewal->key_epoch)) {
        return REFUSAL_KEY_CHANGED;
    }
    registration.renewal_csr = renewal->csr;
    registration.sealed_renewal_key = renewal->sealed_key;
    registration.key_epoch = renewal->key_epoch;
    registration_row_put(apply->txn, &registration);
    return REFUSAL_NONE;
}

enum refusal apply_registration_complete(struct apply *apply,
                                         const struct registration_complete *complete)
{
    struct registration_view registration;
    registration_row_get(apply->txn, &registration);
    if (complete->epoch != registration.epoch) {
        return REFUSAL_EPOCH;
    }
    if (complete->device_id.size == 0) {
        return REFUSAL_FIELD;
    }
    if (registration.state == REGISTRATION_REGISTERED) {
        return renew(apply, &registration, complete);
    }
    if (registration.state != REGISTRATION_REGISTERING) {
        return REFUSAL_NOT_REGISTERED;
    }
    enter(apply, &registration, REGISTRATION_REGISTERED);
    registration.device_id = complete->device_id;
    registration.tenant = complete->tenant;
    registration.certificate = complete->certificate;
    registration.not_after_ms = complete->not_after_ms;
    registration.sealed_token = (struct slice){0}; /* Used: wiped. */
    registration.former_device_id = (struct slice){0};
    registration_row_put(apply->txn, &registration);
    return REFUSAL_NONE;
}

enum refusal apply_registration_fail(struct apply *apply, const struct registration_fail *failure)
{
    struct registration_view registration;
    registration_row_get(apply->txn, &registration);
    if (failure->epoch != registration.epoch) {
        return REFUSAL_EPOCH;
    }
    if (registration.state != REGISTRATION_REGISTERING) {
        return REFUSAL_NOT_REGISTERED;
    }
    clear_device(&registration);
    enter(apply, &registration, REGISTRATION_FAILED);
    registration.error_code = failure->code;
    registration.error = failure->error;
    registration_row_put(apply->txn, &registration);
    return REFUSAL_NONE;
}

enum refusal apply_registration_hand_over(struct apply *apply,
                                          const struct registration_hand_over *hand_over)
{
    struct registration_view registration;
    registration_row_get(apply->txn, &registration);
    if (hand_over->epoch != registration.epoch) {
        return REFUSAL_EPOCH;
    }
    if (registration.state != REGISTRATION_REGISTERED) {
        return REFUSAL_NOT_REGISTERED;
    }
    enum refusal refusal = check_machine(apply, hand_over->node_id, hand_over->serial);
    if (refusal != REFUSAL_NONE) {
        return refusal;
    }
    /* The serial stays: it is what the cloud lists the device under, whoever the machine is. */
    registration.node_id = hand_over->node_id;
    registration_row_put(apply->txn, &registration);
    return REFUSAL_NONE;
}

enum refusal apply_deregistration_begin(struct apply *apply,
                                        const struct deregistration_begin *begin)
{
    struct registration_view registration;
    registration_row_get(apply->txn, &registration);
    if (!registration_exists(&registration)) {
        return REFUSAL_NOT_REGISTERED;
    }
    if (begin->epoch != registration.epoch) {
        return REFUSAL_EPOCH;
    }
    if (registration.state != REGISTRATION_REGISTERED) {
        return REFUSAL_REGISTRATION_IN_DOUBT;
    }
    enter(apply, &registration, REGISTRATION_DEREGISTERING);
    registration_row_put(apply->txn, &registration);
    return REFUSAL_NONE;
}

enum refusal apply_deregistration_complete(struct apply *apply,
                                           const struct deregistration_complete *complete)
{
    struct registration_view registration;
    registration_row_get(apply->txn, &registration);
    if (complete->epoch != registration.epoch) {
        return REFUSAL_EPOCH;
    }
    if (registration.state != REGISTRATION_DEREGISTERING) {
        return REFUSAL_NOT_REGISTERED;
    }
    clear_device(&registration);
    enter(apply, &registration, REGISTRATION_ENABLED);
    registration_row_put(apply->txn, &registration);
    return REFUSAL_NONE;
}

enum refusal apply_registration_forget(struct apply *apply,
                                       const struct registration_forget *forget)
{
    struct registration_view registration;
    registration_row_get(apply->txn, &registration);
    if (forget->epoch != registration.epoch) {
        return REFUSAL_EPOCH;
    }
    if (!registration_exists(&registration)) {
        return REFUSAL_NOT_REGISTERED;
    }
    if (registration.device_id.size > 0) {
        registration.former_device_id = registration.device_id;
    }
    clear_device(&registration);
    enter(apply, &registration, REGISTRATION_ENABLED);
    registration_row_put(apply->txn, &registration);
    return REFUSAL_NONE;
}
